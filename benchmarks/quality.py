"""What it costs to judge a map with fasttsne.quality, and how its page moves in a browser.

- ``quality``: seconds and memory of the measures beside scikit-learn's trustworthiness, a minute.
  Each call is a new process on the same finished map. Memory is the peak during the call above
  imports, data and map, after a small call. Fails if the report exceeds its limits.
- ``reliability``: seconds of the stages of quality.reliability for all points of a map, a minute.
  Fails if a score takes more than 10 s.
- ``page``: how fast the page of plot.html opens, and how smoothly it pans and zooms, a minute.
  Needs the group `browser` and Chromium, which opens a page of ten heaps without a window, 1,200 x
  900 pixels. `opened` lasts until the map stands: file read, script run, points drawn. Then a drag
  and a wheel take a hundred steps each, one every 16 ms. A frame is the time from one picture to
  the next, at best the screen's 16.7 ms. `settled` lasts from the last step until all points are
  drawn again. Chromium draws on the processor unless ``--hardware`` is given.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from data import load
from runner import Benchmark, fresh, main, number, table, timed
from systems import resident, versions

SAMPLE = 5_000
SECONDS, MEGABYTES = 10.0, 1_000.0  # limits of report(sample=5000) on 70,000 points
REPORT = "report, 5,000 points judged"
# What is measured, and on which share of the points.
CALLS = {
    REPORT: ("report", 1),
    "trustworthiness of all": ("trustworthiness", 1),
    "trustworthiness of half of them": ("trustworthiness", 2),
    "trustworthiness of a quarter": ("trustworthiness", 4),
    "continuity of all": ("continuity", 1),
    "neighbour recall of all": ("neighbor_recall", 1),
    "kNN accuracy of all": ("knn_accuracy", 1),
    "KL divergence of a quarter": ("kl_divergence", 4),
    "trustworthiness of an eighth": ("trustworthiness", 8),
    "scikit-learn's, of an eighth": ("scikit-learn", 8),
}

STEPS = 100
BROWSERS = "chromium", "chromium-browser", "google-chrome"
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
WATCH = """() => {
    window.frames_ = [];
    let last = performance.now();
    const look = (now) => { frames_.push(now - last); last = now; requestAnimationFrame(look); };
    requestAnimationFrame(look);
}"""
RENDERER = """() => {
    const gl = document.createElement("canvas").getContext("webgl");
    const info = gl.getExtension("WEBGL_debug_renderer_info");
    return gl.getParameter(info.UNMASKED_RENDERER_WEBGL);
}"""
DRAWN = """() => new Promise((done) => {
    const still = () => document.querySelector(".map canvas").style.transform === "";
    const look = () => (still() ? done() : requestAnimationFrame(look));
    look();
})"""
TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


# ---- Measures ------------------------------------------------------------------------------------


def cost(call, path, n_samples):
    """Return seconds, megabytes and value of a call on the first points of a map."""
    from sklearn import manifold

    from fasttsne import quality

    measures = {
        "report": lambda X, Y, y: quality.report(
            X, Y, y, sample=min(SAMPLE, len(X)), random_state=0
        ).to_dict(),
        "knn_accuracy": lambda X, Y, y: quality.knn_accuracy(Y, y, n_neighbors=10),
        "kl_divergence": lambda X, Y, y: quality.kl_divergence(X, Y),
        "scikit-learn": lambda X, Y, y: manifold.trustworthiness(X, Y, n_neighbors=10),
    }
    measure = measures.get(call) or (lambda X, Y, y: getattr(quality, call)(X, Y, n_neighbors=10))
    with np.load(path) as file:
        X, Y, y = (file[name][:n_samples] for name in ("X", "Y", "y"))
    measure(X[:500], Y[:500], y[:500])
    before = resident(peak=False)
    value, seconds = timed(measure, X, Y, y)
    return {"seconds": seconds, "megabytes": resident(peak=True) - before, "value": value}


def measure_quality(store, args):
    from fasttsne import TSNE

    found = versions("fasttsne")
    slots = {name: {"data": args.data, "call": name} for name in CALLS}
    slots = {name: slot for name, slot in slots.items() if store.needs(slot, found)}
    if not slots:
        return
    data = load(args.data)
    X = np.ascontiguousarray(data.X, dtype=np.float32)
    order = np.random.default_rng(0).permutation(len(X))
    y = np.zeros(len(X), dtype=int) if data.y is None else data.y
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "map.npz"
        Y = TSNE(random_state=0).fit_transform(X)
        np.savez(path, X=X[order], Y=Y[order], y=y[order])
        for name, slot in slots.items():
            call, divisor = CALLS[name]
            n_samples = len(X) // divisor
            figures = fresh(cost, call, path, n_samples) | {"n_samples": n_samples}
            store.add(slot, found, figures | {"n_features": X.shape[1]})
            print(f"{name:32} {figures['seconds']:8.2f} s", file=sys.stderr)


def write_quality(runs, args):
    rows = [
        [
            run["slot"]["call"],
            f"{run['n_samples']:,}",
            number(run["seconds"]),
            f"{run['megabytes']:.0f}",
            "" if isinstance(run["value"], dict) else f"{run['value']:.4f}",
        ]
        for run in runs
    ]
    about = f"{runs[0]['slot']['data']}, {runs[0]['n_samples']:,} x {runs[0]['n_features']}."
    return [
        "# What judging a map costs",
        f"{about} MB are above data and map; 10 neighbours.",
        table(["", "points", "seconds", "MB", "value"], rows),
    ]


def quality_failures(runs):
    for run in runs:
        within = run["seconds"] <= SECONDS and run["megabytes"] <= MEGABYTES
        if run["slot"]["call"] == REPORT and not within:
            yield f"quality: the limits of a report are {SECONDS:g} s and {MEGABYTES:g} MB"


# ---- Reliability ---------------------------------------------------------------------------------


def stages_of_reliability(path):
    """Return the seconds of each stage for all points of a map, and the result's figures."""
    from fasttsne.neighbors.search import squared_neighbors
    from fasttsne.quality import dubious, leave_one_out, reliability
    from fasttsne.quality.distances import as_distances
    from fasttsne.runtime.threads import effective_n_threads

    n_threads = effective_n_threads(None)
    with np.load(path) as file:
        X, Y = file["X"], file["Y"]
    rows = np.arange(len(X), dtype=np.int32)
    seconds = {}

    def stage(name, function, *arguments):
        value, seconds[name] = timed(function, *arguments)
        return value

    reliability(X[:500], Y[:500])
    search = lambda: squared_neighbors(X, 91, n_threads=n_threads)  # noqa: E731
    neighbors = stage("search for neighbours", search)
    settings = neighbors, 30.0, 1.0, n_threads
    found = stage("singularity", leave_one_out.LeaveOneOut.of, Y, *settings)
    seconds["singularity"] += timed(leave_one_out.singularity_scores, found)[1]
    along, extra = timed(leave_one_out.projections, X, n_threads)
    step = leave_one_out.usual_step(neighbors, along)
    places = stage(
        "perturbation", leave_one_out.farthest_places, found, along, step, rows, n_threads
    )
    seconds["perturbation"] += extra
    seconds["perturbation"] += timed(leave_one_out.across_gaps, Y, rows, places, n_threads)[1]
    random = np.random.RandomState(0)
    others = dubious.drawn_others(len(X), random)
    sides = as_distances(X), as_distances(Y)
    stage("correlation", dubious.correlations, *sides, rows, others, n_threads)
    settings = 2, 30.0, "euclidean", None, random, n_threads
    stage("null of the correlation", dubious.null_correlations, X, *settings)
    whole, seconds["reliability"] = timed(reliability, X, Y)
    return {"seconds": seconds, "n_samples": len(X), "found": whole.to_dict()}


def measure_reliability(store, args):
    from fasttsne import TSNE

    found, slot = versions("fasttsne"), {"data": args.data}
    if not store.needs(slot, found):
        return
    X = np.ascontiguousarray(load(args.data).X, dtype=np.float32)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "map.npz"
        np.savez(path, X=X, Y=TSNE(random_state=0).fit_transform(X))
        figures = fresh(stages_of_reliability, path)
    store.add(slot, found, figures | {"n_features": X.shape[1]})


def write_reliability(runs, args):
    run = runs[-1]
    rows = [[name, number(seconds)] for name, seconds in run["seconds"].items()]
    about = f"{run['slot']['data']}, {run['n_samples']:,} x {run['n_features']}, all points."
    return ["# What the reliability of all points costs", about, table(["", "seconds"], rows)]


def reliability_failures(runs):
    for run in runs:
        for name in ("singularity", "perturbation", "correlation"):
            if run["seconds"][name] > SECONDS:
                yield f"reliability: {name} takes more than {SECONDS:g} s"


# ---- The page ------------------------------------------------------------------------------------


def settle(tab):
    tab.evaluate(DRAWN)
    tab.evaluate(TWO_FRAMES)


def gesture(tab, step):
    """Take the steps, one every 16 ms or as soon as the page can; return frames and settling."""
    tab.evaluate("frames_.splice(0)")
    start = time.perf_counter()
    for i in range(STEPS):
        step(i)
        time.sleep(max(0.0, start + 0.016 * (i + 1) - time.perf_counter()))
    frames = np.array(tab.evaluate("frames_.splice(0)"))
    return {
        "median": float(np.median(frames)),
        "percentile_95": float(np.quantile(frames, 0.95)),
        "longest": float(frames.max()),
        "n_frames": len(frames),
        "settled": timed(settle, tab)[1],
    }


def opened_and_moved(chromium, path, n_samples):
    """Return the figures of a page of heaps."""
    from fasttsne.plot import html

    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=n_samples)
    Y = rng.normal(size=(10, 2))[labels] * 40 + rng.normal(size=(n_samples, 2)) * 8
    html(Y, [f"heap {label}" for label in labels], path)
    tab = chromium.new_page(viewport={"width": 1200, "height": 900})

    def show():
        tab.goto(path.as_uri())
        tab.wait_for_selector("body[data-ready]", timeout=300_000)
        tab.evaluate(TWO_FRAMES)

    figures = {"opened": timed(show)[1], "bytes": path.stat().st_size}
    figures["renderer"] = tab.evaluate(RENDERER)
    tab.wait_for_timeout(3_000)
    tab.evaluate(WATCH)
    tab.mouse.move(500, 450)
    tab.mouse.down()
    figures["pan"] = gesture(tab, lambda i: tab.mouse.move(500 + 2 * i, 450 + i))
    tab.mouse.up()
    settle(tab)
    figures["zoom"] = gesture(tab, lambda i: tab.mouse.wheel(0, -8 if i < STEPS // 2 else 8))
    tab.close()
    return figures


def measure_page(store, args):
    from playwright.sync_api import sync_playwright

    program = args.browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit("there is no Chromium on PATH; name one with --browser")
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as play:
        arguments = ARGUMENTS[:1] if args.hardware else ARGUMENTS
        chromium = play.chromium.launch(executable_path=program, args=arguments)
        found = versions("fasttsne") | {"chromium": chromium.version}
        for n_samples in map(int, args.sizes.split(",")):
            slot = {"n_samples": n_samples}
            if store.needs(slot, found):
                figures = opened_and_moved(chromium, Path(directory) / "map.html", n_samples)
                store.add(slot, found, figures)
        chromium.close()


def write_page(runs, args):
    rows = []
    for run in runs:
        rows.append([f"{run['slot']['n_samples']:,}", f"{run['bytes'] / 1e6:.1f}"])
        rows[-1].append(number(run["opened"], digits=2))
        for name in ("pan", "zoom"):
            rows[-1] += [f"{run[name][key]:.0f}" for key in ("median", "percentile_95", "longest")]
        rows[-1].append(number(max(run[name]["settled"] for name in ("pan", "zoom")), digits=2))
    header = ["points", "MB", "opened, s", "pan: frame, ms", "95 %", "longest"]
    header += ["zoom: frame, ms", "95 %", "longest", "settled, s"]
    return [
        "# How the page of plot.html opens and moves",
        f"Drawn by {runs[0]['renderer']}. Frames are the median, the 95th percentile and the "
        "longest, in milliseconds; the screen has one every 16.7.",
        table(header, rows),
    ]


BENCHMARKS = {
    "quality": Benchmark(
        measure_quality, write_quality, {"data": "mnist"}, {"data": "digits"}, quality_failures
    ),
    "reliability": Benchmark(
        measure_reliability,
        write_reliability,
        {"data": "mnist"},
        {"data": "digits"},
        reliability_failures,
    ),
    "page": Benchmark(
        measure_page,
        write_page,
        {"sizes": "70000,1000000", "browser": "", "hardware": False},
        {"sizes": "5000"},
    ),
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
