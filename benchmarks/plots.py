"""How plots of benchmarks look: every system its own colour and mark, named where its line ends.

The colours are of Okabe and Ito's palette, which colour-blind readers can tell apart, and every
system has a mark of its own besides. What is here draws into axes; the benchmarks decide what.
"""

import textwrap

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot, ticker
from systems import SYSTEMS

INK, GRID = "#1a1a1a", "#e4e4e4"
DPI = 160
CHARACTER, LINE = 0.062, 0.14  # inches of small text


def style(system):
    """Colour and mark of a system; of a name that is none, grey."""
    if system in SYSTEMS:
        return {"color": SYSTEMS[system].color, "marker": SYSTEMS[system].marker}
    return {"color": "#777777", "marker": "."}


def panels(n, title, subtitle, width=5.4, height=3.9, room=1.3, left=0.62):
    """A figure of n plots side by side under one title, each with so many inches around it.

    `room` is what is left for names to the right of each, `left` for the numbers of its axis.
    """
    whole = width * n
    lines = textwrap.wrap(subtitle, int(whole / CHARACTER))
    head = 0.85 + LINE * (len(lines) - 1)
    tall = height - 0.25 + head
    figure, axes = pyplot.subplots(1, n, figsize=(whole, tall), squeeze=False)
    figure.subplots_adjust(
        left=left / whole,
        right=1 - room / whole,
        bottom=0.6 / tall,
        top=1 - head / tall,
        wspace=(room + left) / (width - room - left),  # in widths of a plot
    )
    figure.text(0.12 / whole, 0.985, title, va="top", size=12, weight="bold", color=INK)
    figure.text(
        0.12 / whole,
        0.985 - 0.24 / tall,
        "\n".join(lines),
        va="top",
        size=8,
        color="#555555",
    )
    for ax in axes[0]:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color("#999999")
        ax.tick_params(colors="#444444", labelsize=8.5, which="both")
        ax.tick_params(which="minor", length=2)
        ax.grid(True, color=GRID, linewidth=0.7)
        ax.set_axisbelow(True)
    return figure, axes[0]


def heading(ax, text):
    """What is drawn upwards, written above the axis rather than beside it."""
    ax.set_title(text, loc="left", size=9.5, color=INK)


def logarithmic(axis, low, high):
    """A logarithmic axis from low to high, with plain numbers on it, and not too few of them."""
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    decades = np.log10(high / low)
    steps = (1, 2, 5) if decades < 2.5 else (1, 3) if decades < 4 else (1,)
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high) + 1)

    def ticks(steps):
        return [p * step for p in powers for step in steps if low <= p * step <= high]

    axis.set_major_locator(ticker.FixedLocator(ticks(steps)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_locator(ticker.FixedLocator(ticks(range(1, 10))))
    axis.set_minor_formatter(ticker.NullFormatter())


def cell(ax, heading=False):
    """How a figure in a column beside marks is written: flush right, placed by share of width."""
    look = {"size": 7, "color": "#555555"} if heading else {"size": 8, "color": INK}
    place = {"transform": ax.get_yaxis_transform(), "va": "center", "ha": "right"}
    return look | place


def readable(color):
    """A colour dark enough for words on white."""
    return tuple(0.72 * part for part in matplotlib.colors.to_rgb(color))


def plain(value):
    """1200000 as 1.2M, 20000 as 20k, 0.05 as 0.05."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:.10f}".rstrip("0").rstrip(".")


def name_lines(ax, ends):
    """Write names beside the right ends of lines: {name: (x, y, colour)}, none over another."""
    figure = ax.figure
    figure.canvas.draw()
    frame = ax.get_window_extent()
    size = 8.5
    gap = 1.35 * size * figure.dpi / 72
    wanted = {}
    for name, (x, y, _) in ends.items():
        wanted[name] = np.clip(ax.transData.transform((x, y)), frame.min, frame.max)
    # From the lowest up, each at least a line above the one before; then as a whole to the middle.
    order = sorted(wanted, key=lambda name: wanted[name][1])
    places = spaced([wanted[name][1] for name in order], gap)
    inverse = ax.transAxes.inverted()
    for name, height in zip(order, places, strict=True):
        x, y, color = ends[name]
        at = wanted[name]
        beside = frame.x1 + 0.09 * figure.dpi
        ax.annotate(
            name,
            xy=inverse.transform(at),
            xytext=inverse.transform((beside, height)),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            ha="left",
            size=size,
            color=readable(color),
            weight="bold" if name.startswith("fasttsne") else "normal",
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.7,
                "linestyle": ":",
                "alpha": 0.6,
                "shrinkA": 1,
                "shrinkB": 3,
            },
            annotation_clip=False,
        )


def spaced(values, gap):
    """Sorted numbers moved as little as it takes for neighbours to be `gap` apart."""
    # Clusters of numbers that touch, each centred on the mean of what its members wanted.
    clusters = []
    for value in values:
        clusters.append([value, 1])
        while len(clusters) > 1:
            (first, n_first), (second, n_second) = clusters[-2:]
            if second - first >= gap * (n_first + n_second) / 2:
                break
            n = n_first + n_second
            # Where each of them would have the middle of both together.
            middle = (
                n_first * (first + gap * n_second / 2) + n_second * (second - gap * n_first / 2)
            ) / n
            clusters[-2:] = [[middle, n]]
    return [middle + gap * (i - (n - 1) / 2) for middle, n in clusters for i in range(n)]


def save(figure, path):
    """Keep a figure, the same bytes for the same content."""
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    pyplot.close(figure)
    return path
