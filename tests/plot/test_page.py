"""plot/page.py: what the file holds, and what a browser makes of it."""

import base64
import io
import json
import os
import re
import shutil
import stat
import sys
import warnings
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fasttsne.plot import PALETTE, html

pytest.importorskip("plotly")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
SOFTWARE_GL = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
NASTY = "</script><img src=http://example.org/x.png onerror=\"document.title='taken'\"> & <b>"


@pytest.fixture
def page(tmp_path):
    return tmp_path / "page.html"


def read_data(path):
    """What the page's script is given."""
    text = path.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text)
    return json.loads(data)


def unpacked(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype=dtype)


def test_the_page_holds_the_map_and_its_classes(page):
    Y = np.random.default_rng(0).normal(size=(30, 2)) + 1e6
    labels = np.array(["a", "b", None], dtype=object)[np.arange(30) % 3]
    assert html(Y, labels, page, title="A <map>") == page
    data = read_data(page)
    points = unpacked(data["points"], "<f4").reshape(-1, 2)
    np.testing.assert_allclose(points - points[0], Y - Y[0], atol=1e-6)
    assert np.all(np.abs(points).max(axis=0) < data["half"])
    assert unpacked(data["codes"], "<i4").tolist() == [0, 1, -1] * 10
    assert data["names"] == ["a", "b"]
    assert data["colors"] == list(PALETTE[:2])
    assert "<title>A &lt;map&gt;</title>" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e40, 1e99])
def test_coordinates_of_any_magnitude_fit_into_single_precision(page, scale):
    Y = np.random.default_rng(0).normal(size=(30, 2))
    points = []
    for map_ in Y * scale, Y:
        html(map_, path=page)
        data = read_data(page)
        points.append(unpacked(data["points"], "<f4").reshape(-1, 2) / data["half"])
    np.testing.assert_allclose(points[0], points[1], atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e16, -1e20, 1e100])
def test_a_constant_map_is_in_the_middle(page, value):
    html(np.full((5, 2), value), path=page)
    data = read_data(page)
    assert not unpacked(data["points"], "<f4").any()
    assert min(data["half"]) > 0


def test_filters_of_warnings_are_left_alone(page, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "plotly"]:
        monkeypatch.delitem(sys.modules, name)
    before = list(warnings.filters)
    html(np.eye(3, 2), path=page)
    assert "plotly" in sys.modules
    assert warnings.filters == before


def test_a_quantity_is_written_as_numbers_and_named(page):
    values = pd.Series(np.append(np.linspace(0, 1, 9), np.nan), name="<length>")
    Y = np.random.default_rng(0).normal(size=(10, 2))
    html(Y, values, page)
    data = read_data(page)
    written = unpacked(data["values"], "<f4")
    np.testing.assert_array_equal(written, values.to_numpy(np.float32))
    assert data["quantity"] == "<length>"
    html(Y, values, page, label_name="width")
    assert read_data(page)["quantity"] == "width"


def test_nothing_in_the_page_asks_for_anything(page):
    html(np.eye(3, 2), [NASTY] * 3, page, hover=[NASTY] * 3, title=NASTY)
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "<img src=" not in text
    assert read_data(page)["names"] == [NASTY]
    assert read_data(page)["hover"] == [NASTY] * 3


def test_the_policy_of_the_page_allows_its_own_two_scripts_alone(page, monkeypatch):
    monkeypatch.setattr("fasttsne.plot.page._plotly_js", lambda: "one\r\ntwo\rthree('é')")
    html(np.eye(3, 2), path=page)
    text = page.read_text(encoding="utf-8")
    (policy,) = re.findall('Content-Security-Policy" content="(.*?)"', text)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    digests = [
        sha256(script.encode()).digest()
        for script in re.findall(r"<script>(.*?)</script>", text, re.S)
    ]
    assert len(digests) == 2
    codes = {f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests}
    # Plotly compiles its drawing commands.
    assert set(rules["script-src"].split()) == codes | {"'unsafe-eval'"}
    for name in ("default-src", "form-action", "base-uri"):
        assert rules[name] == "'none'"


@pytest.mark.parametrize(("shape", "scale"), [((50, 10), 1), ((10, 50), 1e40), ((50, 0), 1e-40)])
def test_the_page_has_the_shape_of_the_map(page, shape, scale):
    html(np.array([[0, 0], [1, 1]]) * shape * scale, path=page)
    expected = np.maximum(np.array(shape) / 2, 3.5) + 1.5
    half = np.array(read_data(page)["half"])
    np.testing.assert_allclose(half / half.max(), expected / expected.max())


@pytest.mark.parametrize("n_classes", [12, 20, 40, 60])
def test_no_two_classes_look_alike(page, n_classes):
    labels = [f"T{i}" for i in range(n_classes)]
    html(np.random.default_rng(0).normal(size=(n_classes, 2)), labels, page)
    data = read_data(page)
    assert data["names"] == labels
    assert len(set(zip(data["colors"], data["symbols"], strict=True))) == n_classes


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3)])
def test_thumbnails_lie_on_sheets_in_order(page, monkeypatch, shape, dtype):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setattr("fasttsne.plot.page._SHEET", 12)  # pixels: 3 rows of 4, two sheets
    bytes_ = np.random.default_rng(0).integers(0, 256, size=(15, *shape), dtype=np.uint8)
    bytes_[0].flat[:2] = 0, 255
    thumbnails = bytes_ if dtype == np.uint8 else bytes_.astype(dtype) / 51 - 2
    html(np.random.default_rng(0).normal(size=(15, 2)), path=page, thumbnails=thumbnails)
    data = read_data(page)["thumbnails"]
    assert (data["rows"], data["columns"], data["height"], data["width"]) == (3, 4, 4, 3)
    assert len(data["sheets"]) == 2
    for i in range(15):
        sheet = np.asarray(image.open(io.BytesIO(base64.b64decode(data["sheets"][i // 12]))))
        row, column = divmod(i % 12, 4)
        tile = sheet[row * 4 : row * 4 + 4, column * 3 : column * 3 + 3]
        np.testing.assert_array_equal(tile, bytes_[i])


def test_ten_thousand_classes_have_sixty_entries(page):
    labels = np.append(np.arange(10_000), [77] * 5).astype(str)
    html(np.random.default_rng(0).normal(size=(10_005, 2)), labels, page)
    data = read_data(page)
    assert len(data["names"]) == 10_000
    assert len(data["shown"]) == 60
    assert "77" in [data["names"][i] for i in data["shown"]]


def test_bad_input_is_named_and_nothing_is_written(page):
    Y = np.zeros((3, 2))
    for wrong, message in [
        ({"hover": ["a"]}, r"hover must have one entry per point \(3\); got 1"),
        ({"labels": ["a"]}, r"labels has shape \(1,\), but must be one label per sample"),
        ({"thumbnails": np.zeros((2, 4, 4))}, r"thumbnails must be one per point \(3\); got 2"),
        ({"thumbnails": np.zeros((3, 16))}, r"thumbnails must have shape .* got \(3, 16\)"),
        ({"thumbnails": np.zeros((3, 2, 2, 4))}, "thumbnails must have shape"),
        ({"thumbnails": np.full((3, 2, 2), np.nan)}, "thumbnails must be finite"),
        ({"thumbnails": np.zeros((3, 0, 2))}, "thumbnails must have 1 to"),
    ]:
        with pytest.raises(ValueError, match=message):
            html(Y, path=page, **wrong)
    with pytest.raises(ValueError, match="Y must have 2 columns"):
        html(np.zeros((3, 3)), path=page)
    with pytest.raises(ValueError, match=r"divide them: Y / np\.abs\(Y\)\.max\(\)"):
        html(np.eye(3, 2) * 1e300, path=page)
    with pytest.raises(FileNotFoundError) as failed:
        html(Y, path=page.parent / "no" / "page.html")
    assert failed.value.filename == str(page.parent / "no" / "page.html")
    assert os.listdir(page.parent) == []


def test_what_was_there_stays_until_the_page_is_complete(page, monkeypatch):
    page.write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "")))
    with pytest.raises(OSError, match=os.strerror(28)) as failed:
        html(np.eye(3, 2), path=page)
    assert failed.value.filename == str(page)
    assert os.listdir(page.parent) == [page.name]
    assert page.read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX")
def test_a_new_page_is_as_readable_as_any_new_file(page, tmp_path):
    (tmp_path / "plain").touch()
    html(np.eye(3, 2), path=page)
    assert stat.S_IMODE(page.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("module", ["plotly", "PIL"])
def test_a_missing_extra_is_named(page, monkeypatch, module):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'fasttsne\[html\]'"):
        html(np.eye(3, 2), path=page, thumbnails=np.zeros((3, 2, 2)))
    assert os.listdir(page.parent) == []


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_GL)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, page):
    """Open what html writes: the tab, what it asked for, and what went wrong in it."""
    tab = browser.new_page(viewport={"width": 900, "height": 700})
    requests, errors = [], []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text))

    def open_page(*args, **options):
        html(*args, path=page, **options)
        tab.goto(page.as_uri())
        tab.wait_for_selector("body[data-ready]", timeout=60_000)
        return SimpleNamespace(tab=tab, requests=requests, errors=errors)

    yield open_page
    tab.close()


def corners(n_each=40):
    """Four classes, one to a corner, each in a heap."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), n_each)
    middles = np.array([[-10, -10], [10, -10], [-10, 10], [10, 10]])
    return middles[labels] + rng.normal(scale=0.8, size=(len(labels), 2)), labels


def place_of(tab, point):
    """Where on the page a point of the map is drawn, in pixels."""
    return tab.evaluate(
        """(point) => {
            const map = document.getElementById("map"), box = map.getBoundingClientRect();
            const { xaxis, yaxis } = map._fullLayout;
            return [box.left + xaxis._offset + xaxis.d2p(point[0]),
                    box.top + yaxis._offset + yaxis.d2p(point[1])];
        }""",
        point,
    )


def ink_at(tab, point):
    """How much colour there is around a point of the map, in pixels."""
    image = pytest.importorskip("PIL.Image")
    x, y = place_of(tab, point)
    shot = tab.screenshot(clip={"x": x - 25, "y": y - 25, "width": 50, "height": 50})
    pixels = np.asarray(image.open(io.BytesIO(shot)).convert("RGB"), dtype=float)
    return float(np.sum(255 - pixels.min(axis=2)) / 255)


def hover(tab, point):
    x, y = place_of(tab, point)
    tab.mouse.move(x - 3, y)
    tab.mouse.move(x, y)
    tab.wait_for_selector("#tip", state="visible", timeout=10_000)
    return tab.inner_text("#tip b"), tab.inner_text("#tip span")


@pytest.mark.slow
def test_it_draws_searches_zooms_hides_classes_and_asks_for_nothing(opened, page):
    Y, labels = corners()
    texts = [f"point {i} of {label}" for i, label in enumerate(labels)]
    seen = opened(Y, [f"class <{label}>" for label in labels], hover=texts)
    tab = seen.tab
    middle = (Y.min(axis=0) + Y.max(axis=0)) / 2
    medians = [list(np.median(Y[labels == label], axis=0) - middle) for label in range(4)]

    def ink():
        tab.wait_for_timeout(700)
        return [ink_at(tab, median) for median in medians]

    full = ink()
    assert min(full) > 100
    assert ink_at(tab, [0.0, 0.0]) == 0

    tab.fill("#search", "OF 3")
    tab.wait_for_function("document.getElementById('found').textContent === '40 found'")
    assert max(ink()[:3]) < min(full) / 3
    assert ink()[3] > full[3] / 2
    tab.fill("#search", "no such thing")
    tab.wait_for_function("document.getElementById('found').textContent === '0 found'")
    tab.fill("#search", "")
    tab.wait_for_function("document.getElementById('found').textContent === ''")
    assert ink() == full

    entry = tab.locator(".legend .traces", has_text="class <2>")
    assert entry.count() == 1
    box = entry.locator(".legendtoggle").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.wait_for_function("document.getElementById('map').data[2].visible === 'legendonly'")
    left = ink()
    assert left[2] == 0
    assert left[:2] + left[3:] == full[:2] + full[3:]

    width = "(([low, high]) => high - low)(document.getElementById('map')._fullLayout.xaxis.range)"
    before = tab.evaluate(width)
    tab.mouse.move(400, 400)
    tab.mouse.wheel(0, -400)
    tab.wait_for_function(f"{width} < {0.95 * before}")

    assert seen.errors == []
    assert [url for url in seen.requests if not url.startswith(("data:", "blob:"))] == [
        page.as_uri()
    ]


@pytest.mark.slow
def test_a_hand_moves_and_zooms_the_map_under_itself(opened):
    Y, labels = corners()
    tab = opened(Y, labels).tab
    middle = (Y.min(axis=0) + Y.max(axis=0)) / 2
    point = list(np.median(Y[labels == 0], axis=0) - middle)
    ranges = (
        "['xaxis', 'yaxis'].map((axis) => document.getElementById('map')._fullLayout[axis].range)"
    )
    home = tab.evaluate(ranges)
    full = ink_at(tab, point)
    x, y = place_of(tab, point)

    # While the button is down, the picture follows; when it is up, the points are where it was.
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 60, y - 40)
    tab.wait_for_timeout(800)
    assert place_of(tab, point) == pytest.approx([x + 60, y - 40], abs=1)
    assert ink_at(tab, point) == pytest.approx(full, rel=0.2)
    tab.mouse.move(x + 90, y - 70)
    tab.mouse.up()
    tab.wait_for_function("document.querySelector('.gl-container').style.transform === ''")
    tab.wait_for_timeout(500)
    assert place_of(tab, point) == pytest.approx([x + 90, y - 70], abs=1)

    tab.mouse.wheel(0, -300)
    tab.wait_for_timeout(800)
    assert place_of(tab, point) == pytest.approx([x + 90, y - 70], abs=1)
    low, high = tab.evaluate(ranges)[0]
    assert high - low == pytest.approx((home[0][1] - home[0][0]) * np.exp(-200 / 400), rel=1e-3)

    tab.mouse.dblclick(x + 90, y - 70)
    tab.wait_for_timeout(800)
    assert np.ravel(tab.evaluate(ranges)) == pytest.approx(np.ravel(home))


@pytest.mark.slow
def test_a_hover_shows_class_text_and_thumbnail(opened):
    Y = np.array([[-10.0, 0.0], [10.0, 0.0]])
    thumbnails = np.stack([np.full((5, 5), 0), np.full((5, 5), 255)]).astype(np.uint8)
    seen = opened(Y, ["left", NASTY], hover=[f"first\n{NASTY}", "second"], thumbnails=thumbnails)
    assert hover(seen.tab, [-10.0, 0.0]) == ("left", f"first\n{NASTY}")
    image = seen.tab.locator("#tip i").bounding_box()
    assert min(image["width"], image["height"]) > 50
    seen.tab.mouse.move(450, 200)
    assert hover(seen.tab, [10.0, 0.0])[1] == "second"
    assert seen.tab.title() == "t-SNE map"
    assert seen.tab.locator("img[src*='example.org']").count() == 0
    assert not [url for url in seen.requests if "example.org" in url]


@pytest.mark.slow
@pytest.mark.parametrize("labels", [None, [0.5, np.nan, 2.0], [None] * 3], ids=str)
def test_other_labels_open_too(opened, labels):
    seen = opened([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], labels)
    assert seen.errors == []
    assert ink_at(seen.tab, [-0.5, -0.5]) > 10


@pytest.mark.slow
def test_no_button_sends_anything_or_opens_a_window(opened, page):
    Y, labels = corners()
    seen = opened(Y, [f"class {label}" for label in labels])
    tab, requests, windows = seen.tab, [], []
    tab.context.on("request", lambda request: requests.append(request.url))
    tab.context.on("page", lambda opened: windows.append(opened))
    tab.on("download", lambda download: windows.append(download))
    tab.hover("#map")
    buttons = tab.locator("a, button, [role=button], .modebar-btn")
    assert [button.get_attribute("data-title") for button in buttons.all()] == [
        "Zoom",
        "Pan",
        "Zoom in",
        "Zoom out",
        "Reset axes",
    ]
    for button in buttons.all():
        button.click()
        tab.wait_for_timeout(300)
    assert tab.evaluate("window.open('about:blank')") is None
    assert tab.locator("a[href], form, iframe, dialog, .plotly-cloud-dialog").count() == 0
    assert seen.errors == requests == windows == []

    # What plotly or a text might try is refused by the policy of the page.
    sent = """async (url) => {
        const image = new Image();
        image.src = url;
        const script = document.createElement("script"); script.text = "document.title = 'taken'";
        document.body.append(image, script);
        navigator.sendBeacon(url, "data");
        return await fetch(url).then(() => "sent", () => "refused");
    }"""
    assert tab.evaluate(sent, "http://127.0.0.1:9/") == "refused"
    tab.wait_for_timeout(300)
    assert tab.title() == "t-SNE map"
    assert seen.errors  # one for each attempt


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [0, 4, 40])
def test_a_phone_shows_the_whole_map_above_its_legend(opened, n_classes):
    Y = np.array([[0, 0], [50, 10], [50, 0], [0, 10]] * 20, dtype=float)
    names = [f"{i}: a class with a long name" for i in np.arange(80) % max(n_classes, 1)]
    tab = opened(Y, names if n_classes else None).tab
    for width, height in [(375, 667), (900, 700)]:
        tab.set_viewport_size({"width": width, "height": height})
        tab.wait_for_timeout(1000)
        corners = np.array([place_of(tab, corner) for corner in ([-25, 5], [25, -5])])
        (left, top), (right, bottom) = corners
        legend = tab.locator("#map .legend").bounding_box() if n_classes else None
        assert left > 0 and top > 0 and bottom < height and right < width
        if n_classes and width == 375:
            assert bottom < legend["y"] and legend["x"] + legend["width"] <= width
            assert legend["y"] < height - 60
        elif n_classes:
            assert right < legend["x"]
        assert right - left == pytest.approx(5 * (bottom - top), rel=1e-3)
        assert right - left > 0.4 * width
        assert 10 < min(ink_at(tab, [x, 5]) for x in (-25, 25)) < 700


@pytest.mark.slow
def test_the_legend_is_in_natural_order_and_missing_last(opened):
    labels = np.array([None, *[f"T{i}" for i in range(100)]], dtype=object)
    labels = np.append(labels, labels[:41])  # the largest
    tab = opened(np.random.default_rng(0).normal(size=(len(labels), 2)), labels).tab
    entries = tab.locator(".legend .traces").all_text_contents()
    assert entries[:40] == [f"T{i}" for i in range(40)]
    assert entries[-2:] == ["40 smaller classes", "missing"]


@pytest.mark.slow
def test_a_long_legend_begins_below_the_buttons(opened):
    labels = [f"class {i}" for i in range(60)]
    tab = opened(np.random.default_rng(0).normal(size=(60, 2)), labels).tab
    tab.set_viewport_size({"width": 1280, "height": 800})
    tab.wait_for_timeout(1000)
    buttons = tab.locator(".modebar").bounding_box()
    first = tab.locator(".legend .traces").first.bounding_box()
    assert first["y"] >= buttons["y"] + buttons["height"]


@pytest.mark.slow
def test_a_search_fades_other_classes_only(opened):
    Y, labels = corners()
    tab = opened(Y, [f"class {label}" for label in labels]).tab
    tab.fill("#search", f"class {labels[0]}")
    tab.wait_for_timeout(1000)
    opacities = tab.evaluate("map.data.map((trace) => trace.marker.opacity)")
    assert opacities[0] == 0.8 and set(opacities[1:-1]) == {0.12}
