"""``fasttsne demo``: handwritten digits mapped, judged and drawn."""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fasttsne import TSNE, __version__
from fasttsne.cli.messages import say
from fasttsne.cli.write import check_picture
from fasttsne.plot import PALETTE, scatter
from fasttsne.quality import kl_divergence, knn_accuracy, neighbor_recall
from fasttsne.runtime.files import replacing

_DEFAULT_OUTPUT = Path("fasttsne-demo.png")
_METHODS = {"exact": "Exact", "barnes_hut": "Barnes-Hut"}


#: What argparse shows of the command.
ABOUT = {
    "help": "map 1,797 handwritten digits, measure the map and draw it",
    "description": "Map the 1,797 handwritten digits that ship with scikit-learn, exactly and by\n"
    "Barnes-Hut; print time and quality of both maps, and draw them side by side.",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    picture = parser.add_mutually_exclusive_group()
    picture.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"picture (default: {_DEFAULT_OUTPUT}, which the next demo overwrites)",
    )
    picture.add_argument("--no-plot", action="store_true", help="print the measures only")
    parser.add_argument("--force", action="store_true", help="overwrite an existing FILE")
    for option, kind, default, metavar, meaning in (
        ("--perplexity", float, 30.0, "P", "effective number of neighbours per point"),
        ("--random-state", int, 0, "SEED", "random seed"),
        ("--n-jobs", int, None, "N", "threads"),
    ):
        text = f"{meaning} (default: {'all cores' if default is None else default})"
        parser.add_argument(option, type=kind, default=default, metavar=metavar, help=text)


def run(args: argparse.Namespace) -> int:
    """Draw both maps, and return 0, or 1 if the picture of --output could not be written."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    n_samples, n_features = digits.data.shape
    output = args.output or _DEFAULT_OUTPUT
    drawable = not args.no_plot and find_spec("matplotlib") is not None
    if drawable:
        check_picture(output, "--output", args.output is None or args.force)

    title = f"{n_samples:,} handwritten digits of {n_features} pixels"
    print(f"{title}, perplexity {args.perplexity:g}\n", flush=True)
    maps, figures = {}, {}
    for method in _METHODS:
        maps[method], figures[method] = _map_and_judge(digits, method, args)
    print(_table(figures))

    if args.no_plot:
        return 0
    if not drawable:
        say("\nNo picture: matplotlib is missing. To get it: pip install 'fasttsne[plot]'")
        return 0 if args.output is None else 1
    figure = _draw(digits, maps, figures, title, args.perplexity)
    with replacing(output) as unfinished:
        figure.savefig(unfinished, format=output.suffix[1:])
    print(f"\nPicture: {output}")
    return 0


def _map_and_judge(
    digits: Any, method: str, args: argparse.Namespace
) -> tuple[NDArray[Any], dict[str, str]]:
    """Return a map and its measures as text: seconds of the fit, and three of the finished map."""
    given = {name: vars(args)[name] for name in ("perplexity", "random_state", "n_jobs")}
    tsne = TSNE(method=method, **given)
    start = time.perf_counter()
    embedding = tsne.fit_transform(digits.data)
    seconds = time.perf_counter() - start
    divergence = kl_divergence(digits.data, embedding, perplexity=args.perplexity)
    return embedding, {
        "seconds": f"{seconds:.2f}",
        "KL divergence": f"{divergence:.3f}",
        "neighbour recall@10": f"{neighbor_recall(digits.data, embedding, n_neighbors=10):.3f}",
        "kNN accuracy@10": f"{knn_accuracy(embedding, digits.target, n_neighbors=10):.3f}",
    }


def _table(figures: dict[str, dict[str, str]]) -> str:
    """Return the printed table: one row per measure, one column per method."""
    rows = {"": [_METHODS[method] for method in figures]}
    for name in figures["exact"]:
        rows[name] = [values[name] for values in figures.values()]
    return "\n".join(f"{name:20}{first:>12}{second:>12}" for name, (first, second) in rows.items())


def _draw(
    digits: Any,
    maps: dict[str, NDArray[Any]],
    figures: dict[str, dict[str, str]],
    title: str,
    perplexity: float,
) -> Any:
    """Draw both maps side by side, their measures below, a digit of every class above."""
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    ink, grey = "#1a1a1a", "#555555"
    width, height = 12, 7.5
    figure = Figure(figsize=(width, height), dpi=150)
    figure.text(0.02, 0.947, title, size=18, weight="bold", color=ink, va="center")
    explanation = (
        f"t-SNE by fasttsne {__version__}, perplexity {perplexity:g}. Each dot is one image, "
        "placed by its pixels alone; the class, which t-SNE never saw, only colours it."
    )
    figure.text(0.02, 0.9, explanation, size=10.5, color=grey, va="center")

    classes = sorted(set(digits.target.tolist()))
    for i, cls in enumerate(classes):
        box = (0.98 - 0.038 * (len(classes) - i), 0.92, 0.034, 0.034 * width / height)
        image = digits.images[digits.target == cls][0] / digits.images.max()
        tint = to_rgb(PALETTE[i % len(PALETTE)])
        ax = figure.add_axes(box)
        ax.imshow([[(*tint, opacity) for opacity in row] for row in image])
        ax.set_axis_off()

    for i, (method, embedding) in enumerate(maps.items()):
        ax = figure.add_axes((0.02 + 0.49 * i, 0.06, 0.47, 0.47 * width / height))
        scatter(embedding, digits.target, ax=ax)
        ax.set_title(_METHODS[method], loc="left", size=13, weight="bold", color=ink)
        seconds, divergence, recall, accuracy = figures[method].values()
        caption = (
            f"{seconds} s   KL divergence {divergence}   "
            f"recall@10 {recall}   kNN accuracy@10 {accuracy}"
        )
        ax.set_xlabel(caption, loc="left", size=9.5, color=grey, labelpad=8)
    return figure
