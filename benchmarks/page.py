"""How fast the page of plot.html opens, and how smoothly it pans and zooms in a browser.

A mixture of ten heaps is written as a page and opened in Chromium without a window, 1,200 x 900
pixels. `opened` is until the map stands: file read, script run, points drawn. Then a hand drags the
map over a hundred steps, and turns the wheel a hundred times, a step every 16 ms: a frame is the
time from one picture to the next, of which the screen has one every 16.7 ms at best. `settled` is
from the last step until all points have been drawn anew. Between gestures the page rests.

``python benchmarks/page.py`` takes about a minute. It needs the extra `browser` and Chromium. Where
Chromium has no graphics card it draws on the processor, and here it does so unless ``--hardware``
says otherwise; the table says who drew.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import report

from fasttsne.plot import html

SIZES = 70_000, 1_000_000
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
DRAWN = "document.querySelector('.gl-container').style.transform === ''"
TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def heaps(n_samples):
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=n_samples)
    middles = rng.normal(size=(10, 2)) * 40
    return middles[labels] + rng.normal(size=(n_samples, 2)) * 8, labels


def settle(tab):
    tab.wait_for_function(DRAWN, timeout=120_000)
    tab.evaluate(TWO_FRAMES)


def gesture(tab, step):
    """Make the steps, one every 16 ms or as soon after as the page takes it; frames, settling."""
    tab.evaluate("frames_.splice(0)")
    start = time.perf_counter()
    for i in range(STEPS):
        step(i)
        time.sleep(max(0.0, start + 0.016 * (i + 1) - time.perf_counter()))
    frames = np.array(tab.evaluate("frames_.splice(0)"))
    end = time.perf_counter()
    settle(tab)
    return {
        "median": float(np.median(frames)),
        "percentile_95": float(np.quantile(frames, 0.95)),
        "longest": float(frames.max()),
        "n_frames": len(frames),
        "settled": time.perf_counter() - end,
    }


def measure(chromium, path, n_samples):
    Y, labels = heaps(n_samples)
    html(Y, [f"heap {label}" for label in labels], path)
    tab = chromium.new_page(viewport={"width": 1200, "height": 900})
    start = time.perf_counter()
    tab.goto(path.as_uri())
    tab.wait_for_selector("body[data-ready]", timeout=300_000)
    tab.evaluate(TWO_FRAMES)
    figures = {"opened": time.perf_counter() - start, "bytes": path.stat().st_size}
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


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="(default: %(default)s)")
    parser.add_argument("--browser", help="the program (default: Chromium on PATH)")
    parser.add_argument(
        "--hardware", action="store_true", help="draw by the graphics card, not the processor"
    )
    parser.add_argument("--output", help="JSON file (default: benchmarks/results/page.json)")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    program = args.browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        print("there is no Chromium on PATH; name one with --browser", file=sys.stderr)
        return 2
    found = {}
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as play:
        arguments = ARGUMENTS[:1] if args.hardware else ARGUMENTS
        chromium = play.chromium.launch(executable_path=program, args=arguments)
        for n_samples in map(int, args.sizes.split(",")):
            found[n_samples] = measure(chromium, Path(directory) / "map.html", n_samples)
            print(f"{n_samples:,}: {found[n_samples]}", file=sys.stderr)
        version = chromium.version
        chromium.close()
    kept = report.save("page", {"chromium": version, "points": found}, args.output)
    rows = [
        [f"{n_samples:,}", f"{figures['bytes'] / 1e6:.1f}", report.number(figures["opened"], 2)]
        + [
            f"{figures[name][key]:.0f}"
            for name in ("pan", "zoom")
            for key in ("median", "percentile_95", "longest")
        ]
        + [report.number(max(figures[name]["settled"] for name in ("pan", "zoom")), 2)]
        for n_samples, figures in found.items()
    ]
    header = ["points", "MB", "opened, s", "pan: frame, ms", "95 %", "longest"]
    header += ["zoom: frame, ms", "95 %", "longest", "settled, s"]
    renderer = next(iter(found.values()))["renderer"]
    text = [
        "# How the page of plot.html opens and moves",
        f"`python benchmarks/page.py`. Chromium {version}, drawn by {renderer}, "
        f"{report.machine_name(report.machine())}. Frames are the median, the 95th percentile and "
        "the longest, in milliseconds; the screen has one every 16.7.",
        report.table(header, rows),
    ]
    report.publish(kept.parent, kept.stem, "\n\n".join(text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
