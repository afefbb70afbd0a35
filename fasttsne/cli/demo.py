"""``fasttsne demo``: handwritten digits mapped, judged and drawn."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fasttsne import TSNE, __version__
from fasttsne.cli.messages import Refusal, say
from fasttsne.cli.write import check_output
from fasttsne.plot import PALETTE, scatter
from fasttsne.quality import kl_divergence, knn_accuracy, neighbor_recall
from fasttsne.runtime.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DEFAULT_OUTPUT = Path("fasttsne-demo.png")
_METHODS = {"exact": "Exact", "barnes_hut": "Barnes-Hut"}
_FIGURES = {
    "seconds": ("seconds", "{:.2f}"),
    "kl_divergence": ("KL divergence", "{:.3f}"),
    "recall": ("neighbour recall@10", "{:.3f}"),
    "accuracy": ("kNN accuracy@10", "{:.3f}"),
}


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to argparse's subparsers, and return its parser."""
    demo: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="map 1,797 handwritten digits, measure the map and draw it",
        description="Map the 1,797 handwritten digits that ship with scikit-learn, exactly and "
        "by Barnes-Hut; print time and quality of both maps, and draw them side by side.",
    )
    picture = demo.add_mutually_exclusive_group()
    picture.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"picture (default: {_DEFAULT_OUTPUT}, which the next demo overwrites)",
    )
    picture.add_argument("--no-plot", action="store_true", help="print the measures only")
    demo.add_argument("--force", action="store_true", help="overwrite an existing FILE")
    demo.add_argument(
        "--perplexity",
        type=float,
        default=30.0,
        metavar="P",
        help="effective number of neighbours per point (default: %(default)s)",
    )
    demo.add_argument(
        "--random-state",
        type=int,
        default=0,
        metavar="SEED",
        help="random seed (default: %(default)s)",
    )
    demo.add_argument("--n-jobs", type=int, metavar="N", help="threads (default: all cores)")
    return demo


def run(args: argparse.Namespace) -> int:
    """Draw both maps, and return 0, or 1 if the picture of --output could not be written."""
    digits = _load_digits()
    n_samples, n_features = digits.data.shape
    _check_arguments(args, n_samples)
    output = args.output or _DEFAULT_OUTPUT
    drawable = not args.no_plot and _check_output(args, output)

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
    try:
        with replacing(output) as unfinished:
            figure.savefig(unfinished, format=output.suffix[1:] or "png")
    except OSError as error:
        reason = error.strerror or error
        say(f"{args.parser.prog}: error: cannot write {output}: {reason}")
        return 1
    print(f"\nPicture: {output}")
    return 0


def _load_digits() -> Any:
    from sklearn.datasets import load_digits

    return load_digits()


def _check_arguments(args: argparse.Namespace, n_samples: int) -> None:
    """Check the arguments before any work; an error names the option."""
    if not 0 < args.perplexity < n_samples:
        args.parser.error(
            f"argument --perplexity: must be above 0 and below {n_samples}; got {args.perplexity:g}"
        )
    if not 0 <= args.random_state < 2**32:
        args.parser.error(
            f"argument --random-state: must be from 0 to {2**32 - 1}; got {args.random_state}"
        )
    if args.n_jobs == 0:
        args.parser.error("argument --n-jobs: must not be 0; -1 uses all cores")


def _check_output(args: argparse.Namespace, output: Path) -> bool:
    """Check the path of the picture, and return whether matplotlib is installed."""
    check_output(output, "--output", (), args.output is None or args.force)
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    formats = Figure().canvas.get_supported_filetypes()
    if output.suffix and output.suffix[1:].lower() not in formats:
        raise Refusal(f"--output {output}: the ending must be one of {', '.join(sorted(formats))}")
    return True


def _map_and_judge(
    digits: Any, method: str, args: argparse.Namespace
) -> tuple[NDArray[Any], dict[str, float]]:
    """Return a map and its measures: seconds of the fit, and three of the finished map."""
    tsne = TSNE(
        method=method,
        perplexity=args.perplexity,
        random_state=args.random_state,
        n_jobs=args.n_jobs,
    )
    start = time.perf_counter()
    embedding = tsne.fit_transform(digits.data)
    seconds = time.perf_counter() - start
    return embedding, {
        "seconds": seconds,
        "kl_divergence": kl_divergence(digits.data, embedding, perplexity=args.perplexity),
        "recall": neighbor_recall(digits.data, embedding, n_neighbors=10),
        "accuracy": knn_accuracy(embedding, digits.target, n_neighbors=10),
    }


def _table(figures: dict[str, dict[str, float]]) -> str:
    """Return the printed table: one row per measure, one column per method."""
    lines = [" " * 20 + "".join(f"{_METHODS[method]:>12}" for method in figures)]
    for key, (name, style) in _FIGURES.items():
        cells = (f"{style.format(values[key]):>12}" for values in figures.values())
        lines.append(f"{name:20}" + "".join(cells))
    return "\n".join(lines)


def _draw(
    digits: Any,
    maps: dict[str, NDArray[Any]],
    figures: dict[str, dict[str, float]],
    title: str,
    perplexity: float,
) -> Figure:
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
        values = figures[method]
        caption = (
            f"{values['seconds']:.2f} s    KL divergence {values['kl_divergence']:.3f}    "
            f"recall@10 {values['recall']:.3f}    kNN accuracy@10 {values['accuracy']:.3f}"
        )
        ax.set_xlabel(caption, loc="left", size=10, color=grey, labelpad=8)
    return figure
