"""The look of the pictures: each system has its colour and its mark.

The colours are of Okabe and Ito's palette, which colour-blind readers can tell apart.
"""

import textwrap

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot, ticker
from systems import SYSTEMS

INK, GREY, GRID = "#1a1a1a", "#555555", "#e4e4e4"


def style(system):
    """Return colour and mark of a system."""
    return {"color": SYSTEMS[system].color, "marker": SYSTEMS[system].marker}


def panels(n, title, subtitle, width=5.4, height=3.9):
    """Return a figure and its n plots side by side under one title; lengths are in inches."""
    lines = textwrap.fill(subtitle, int(width * n / 0.062))
    tall = height + 0.6 + 0.14 * lines.count("\n")
    figure, axes = pyplot.subplots(
        1, n, figsize=(width * n, tall), squeeze=False, layout="constrained"
    )
    figure.get_layout_engine().set(rect=(0, 0, 1, (height + 0.1) / tall), wspace=0.05)
    left = 0.12 / (width * n)
    figure.text(left, 0.985, title, va="top", size=12, weight="bold", color=INK)
    figure.text(left, 0.985 - 0.24 / tall, lines, va="top", size=8, color=GREY)
    for ax in axes[0]:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color("#999999")
        ax.tick_params(colors=GREY, labelsize=8.5, which="both")
        ax.grid(True, color=GRID, linewidth=0.7)
        ax.set_axisbelow(True)
    return figure, axes[0]


def lines(ax, title, curves, xlabel, margins=(None, None)):
    """Draw curves (name, x, y, style); margins are factors around a logarithmic axis."""
    ax.set_title(title, loc="left", size=9.5, color=INK)
    for name, x, y, look in curves:
        ax.plot(x, y, label=name, **({"markersize": 5} | look))
    for axis, at, margin in ((ax.xaxis, 1, margins[0]), (ax.yaxis, 2, margins[1])):
        values = [value for curve in curves for value in curve[at]]
        if margin and values:
            logarithmic(ax, axis.axis_name, min(values) / margin, max(values) * margin)
    ax.set_xlabel(xlabel, size=9, color=INK)
    ax.legend(fontsize=8.5, framealpha=0.9, edgecolor=GRID)


def logarithmic(ax, name, low, high):
    """Make the axis "x" or "y" logarithmic from low to high, with a few plain numbers on it."""
    ax.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
    decades = np.log10(high / low)
    steps = (1, 2, 5) if decades < 2.5 else (1, 3) if decades < 4 else (1,)
    axis = getattr(ax, f"{name}axis")
    axis.set_major_locator(ticker.LogLocator(subs=steps))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_formatter(ticker.NullFormatter())


def plain(value):
    """Return 1200000 as 1.2M, 20000 as 20k, 0.05 as 0.05."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:.10f}".rstrip("0").rstrip(".")


def save(figure, path):
    """Save a figure, with the same bytes for the same content."""
    figure.savefig(path, dpi=160, metadata={"Software": None})
    pyplot.close(figure)
