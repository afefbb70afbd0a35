"""plot/page.py and plot/view.js: what the file holds, and what a browser makes of it."""

import io
import json
import os
import re
import stat
import sys
from base64 import b64encode
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest

from fasttsne.plot import html
from fasttsne.plot.view import packed, view_data

NASTY = "</script><img src=http://example.org/x.png onerror=\"document.title='taken'\"> & <b>'`${1}"
BIDI = "\u202eright to left\u2028 next \u2066 isolate"


@pytest.fixture
def page(tmp_path):
    return tmp_path / "page.html"


def read_data(path):
    """What the page's script is given."""
    text = path.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text)
    return json.loads(data)


# ---- the file -----------------------------------------------------------------------------------


def test_the_page_holds_the_map_and_its_columns(page):
    Y = np.random.default_rng(0).normal(size=(30, 2)) + 1e6
    labels = np.array(["a", "b", None], dtype=object)[np.arange(30) % 3]
    given = {"hover": [NASTY] * 30, "columns": {"mass": np.arange(30) / 7}, "title": "A <map>"}
    assert html(Y, labels, page, **given) == page
    assert read_data(page) == packed(view_data(Y, labels, **given), text=True)
    assert "<title>A &lt;map&gt;</title>" in page.read_text(encoding="utf-8")


def test_nothing_of_a_text_is_markup_in_the_file(page):
    texts = [NASTY, BIDI, "\ud800"]
    html(np.eye(3, 2), texts, page, hover=texts, columns={NASTY: texts}, title=NASTY)
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "<img src=" not in text
    assert text.count("<script") == text.count("</script>") == 2
    assert read_data(page)["columns"][0]["names"] == [NASTY, BIDI, "?"]
    assert read_data(page)["columns"][2]["name"] == NASTY


def test_the_policy_of_the_page_allows_its_own_script_alone(page, monkeypatch):
    monkeypatch.setattr("fasttsne.plot.page.view_script", lambda: "one\r\ntwo\rthree('é')")
    html(np.eye(3, 2), path=page)
    text = page.read_text(encoding="utf-8")
    (policy,) = re.findall('Content-Security-Policy" content="(.*?)"', text)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert rules["script-src"] == f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
    for name in ("default-src", "form-action", "base-uri"):
        assert rules[name] == "'none'"


def test_bad_input_is_named_and_nothing_is_written(page):
    Y = np.zeros((3, 2))
    for wrong, message in [
        ({"hover": ["a"]}, r"hover must have one entry per point \(3\); got 1"),
        ({"labels": ["a"]}, r"labels has shape \(1,\), but must be one label per sample"),
        ({"columns": {"a": ["a"]}}, "column 'a' of columns has shape"),
        ({"color": "a"}, "color must be the name of a column"),
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


def test_thumbnails_without_pillow_name_the_extra(page, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "PIL"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'fasttsne\[html\]'"):
        html(np.eye(3, 2), path=page, thumbnails=np.zeros((3, 2, 2)))
    assert os.listdir(page.parent) == []
    html(np.eye(3, 2), path=page)


# ---- in a browser -------------------------------------------------------------------------------


@pytest.fixture
def opened(tab, page):
    """Open what html writes."""

    def open_page(*args, **options):
        html(*args, path=page, **options)
        tab.tab.goto(page.as_uri())
        tab.tab.wait_for_selector("body[data-ready]", timeout=60_000)
        return tab

    return open_page


def corners(n_each=40):
    """Four classes, one to a corner, each in a heap."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), n_each)
    middles = np.array([[-10, -10], [10, -10], [-10, 10], [10, 10]])
    Y = middles[labels] + rng.normal(scale=0.8, size=(len(labels), 2))
    return Y.astype(np.float32), labels


def medians_of(Y, labels):
    return [np.median(Y[labels == label], axis=0).tolist() for label in range(4)]


def place_of(tab, point):
    """Where on the page a point of the map is drawn, in pixels."""
    return tab.evaluate("([x, y]) => fasttsne.place(x, y)", [float(value) for value in point])


def pixels_at(tab, point, half=25):
    image = pytest.importorskip("PIL.Image")
    x, y = place_of(tab, point)
    shot = tab.screenshot(
        clip={"x": x - half, "y": y - half, "width": 2 * half, "height": 2 * half}
    )
    return np.asarray(image.open(io.BytesIO(shot)).convert("RGB"), dtype=float)


def ink_at(tab, point):
    """How much colour there is around a point of the map, in pixels."""
    pixels = pixels_at(tab, point)
    return float(np.sum(255 - pixels.min(axis=2)) / 255)


def colour_at(tab, point):
    """The commonest colour but the background's around a point."""
    colours, counts = np.unique(pixels_at(tab, point).reshape(-1, 3), axis=0, return_counts=True)
    return colours[np.argsort(counts)[-2]].tolist()


def wait_for(tab, expression):
    """Wait until an expression is true; Playwright's own wait would compile it on the page."""
    for _ in range(100):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(100)
    raise AssertionError(f"never true: {expression}")


def hover(tab, point):
    x, y = place_of(tab, point)
    tab.mouse.move(x - 3, y)
    tab.mouse.move(x, y)
    tab.wait_for_selector(".tip", state="visible", timeout=10_000)
    return tab.text_content(".tip b"), tab.text_content(".tip span")


def drag(tab, path):
    """Press, move along a path of the page, and release."""
    tab.mouse.move(*path[0])
    tab.mouse.down()
    for place in path[1:]:
        tab.mouse.move(*place)
    tab.mouse.up()


def downloaded(tab):
    with tab.expect_download() as download:
        tab.click("button:text-is('Download')")
    assert download.value.suggested_filename == "selected.csv"
    return pd.read_csv(download.value.path(), keep_default_na=False, float_precision="round_trip")


def rows_inside(tab, Y, polygon):
    from matplotlib.path import Path

    places = np.array([place_of(tab, point) for point in Y])
    return np.flatnonzero(Path(polygon).contains_points(places))


@pytest.mark.slow
def test_it_draws_searches_zooms_hides_classes_and_asks_for_nothing(opened, page):
    Y, labels = corners()
    texts = [f"point {i} of {label}" for i, label in enumerate(labels)]
    seen = opened(Y, [f"class <{label}>" for label in labels], hover=texts)
    tab, medians = seen.tab, medians_of(Y, labels)
    tab.click("text=Names")

    def ink():
        tab.wait_for_timeout(500)
        return [ink_at(tab, median) for median in medians]

    full = ink()
    assert min(full) > 100
    assert ink_at(tab, [0.0, 0.0]) == 0

    tab.fill(".search", "OF 3")
    wait_for(tab, "document.querySelector('.found').textContent === '40 found'")
    faded = ink()
    assert max(faded[:3]) < min(full) / 2.5
    assert faded[3] > full[3] / 2
    tab.fill(".search", "no such thing")
    wait_for(tab, "document.querySelector('.found').textContent === '0 found'")
    tab.fill(".search", "")
    wait_for(tab, "document.querySelector('.found').textContent === ''")
    assert ink() == full

    entry = tab.locator(".legend button", has_text="class <2>")
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    left = ink()
    assert left[2] == 0
    assert left[:2] + left[3:] == full[:2] + full[3:]
    entry.click()
    assert ink() == full
    entry.dblclick()
    alone = ink()
    assert alone[2] == full[2] and alone[0] == alone[1] == alone[3] == 0
    entry.dblclick()
    assert ink() == full

    start = np.array([place_of(tab, point) for point in ([0, 0], [1, 0])])
    tab.mouse.move(400, 400)
    tab.mouse.wheel(0, -400)
    tab.wait_for_timeout(500)
    now = np.array([place_of(tab, point) for point in ([0, 0], [1, 0])])
    assert np.ptp(now[:, 0]) > 1.05 * np.ptp(start[:, 0])
    assert seen.errors == []
    assert seen.requests == [page.as_uri()]


@pytest.mark.slow
def test_a_hand_moves_and_zooms_the_map_under_itself(opened):
    Y, labels = corners()
    tab = opened(Y, labels).tab
    tab.click("text=Names")
    point = medians_of(Y, labels)[0]
    full = ink_at(tab, point)
    x, y = place_of(tab, point)

    # While the button is down, the points follow.
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 60, y - 40)
    assert place_of(tab, point) == pytest.approx([x + 60, y - 40], abs=0.1)
    tab.wait_for_timeout(500)
    assert ink_at(tab, point) == pytest.approx(full, rel=0.2)
    tab.mouse.move(x + 90, y - 70)
    tab.mouse.up()
    tab.wait_for_timeout(500)
    assert place_of(tab, point) == pytest.approx([x + 90, y - 70], abs=0.1)
    assert ink_at(tab, point) == pytest.approx(full, rel=0.2)

    side = np.ptp([place_of(tab, [k, 0])[0] for k in (0, 1)])
    tab.mouse.wheel(0, -300)
    tab.wait_for_timeout(500)
    assert place_of(tab, point) == pytest.approx([x + 90, y - 70], abs=0.5)
    wider = np.ptp([place_of(tab, [k, 0])[0] for k in (0, 1)])
    assert wider == pytest.approx(side * np.exp(200 / 400), rel=1e-3)

    tab.mouse.dblclick(x + 90, y - 70)
    tab.wait_for_timeout(500)
    assert place_of(tab, point) == pytest.approx([x, y], abs=0.1)
    assert ink_at(tab, point) == pytest.approx(full, rel=0.2)


@pytest.mark.slow
def test_the_picture_moves_before_the_points_are_drawn_again(opened):
    """A million points are drawn in more than a frame: their last picture moves meanwhile."""
    Y, labels = corners()
    tab = opened(Y, labels).tab
    tab.click("text=Names")
    point = medians_of(Y, labels)[0]
    tab.wait_for_timeout(300)
    full = ink_at(tab, point)
    slow = """() => {
        const context = document.querySelector("canvas").getContext("webgl2");
        const clear = context.clear;
        context.clear = function (bits) {
            const end = performance.now() + 120;
            while (performance.now() < end);
            clear.call(this, bits);
        };
    }"""
    tab.evaluate(slow)
    tab.mouse.move(300, 300)
    tab.mouse.wheel(0, -10)
    tab.wait_for_timeout(900)
    tab.mouse.wheel(0, -60)
    wait_for(tab, "document.querySelector('canvas').style.transform.includes('scale(1.')")
    wait_for(tab, "document.querySelector('canvas').style.transform === ''")
    tab.wait_for_timeout(300)
    assert ink_at(tab, point) > full / 2


@pytest.mark.slow
def test_a_lasso_selects_what_is_inside_and_the_download_has_it(opened):
    Y, labels = corners()
    names = np.array(["one, two", 'with "quotes"', NASTY, "line\nbreak"], dtype=object)[labels]
    columns = {
        "mass": np.arange(160) / 7,
        "count": np.arange(160) * 3,
        "name": [f"row {i}" for i in range(160)],
        "gap": np.where(np.arange(160) % 2, np.nan, np.arange(160) / 3),
    }
    seen = opened(Y, names, columns=columns, label_name="kind")
    tab = seen.tab
    tab.click("button:text-is('Lasso')")
    # A star around the middle that cuts through all four heaps.
    x, y = place_of(tab, [0, 0])
    reach = place_of(tab, [10.2, 0])[0] - x
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False) + np.pi / 4
    radii = reach * np.where(np.arange(80) % 20 < 5, 1.42, 0.9)
    path = np.round(np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1))
    expected = rows_inside(tab, Y, path)
    assert 20 < len(expected) < 140 and len(np.unique(labels[expected])) == 4
    drag(tab, path.tolist())
    assert tab.inner_text(".count") == f"{len(expected)} of 160 points selected"
    assert tab.evaluate("fasttsne.selection()") == expected.tolist()

    table = downloaded(tab)
    kept = ["row", "tsne0", "tsne1", "kind", "mass", "count", "name", "gap"]
    assert table.columns.tolist() == kept
    assert table["row"].tolist() == expected.tolist()
    np.testing.assert_array_equal(table[["tsne0", "tsne1"]].astype(np.float32), Y[expected])
    assert table["kind"].tolist() == names[expected].tolist()
    for name in ("mass", "count", "name"):
        assert table[name].tolist() == np.array(columns[name])[expected].tolist()
    gaps = [float(text) if text else np.nan for text in table["gap"]]
    np.testing.assert_array_equal(gaps, columns["gap"][expected])
    assert seen.errors == []

    # Shift adds, Alt removes, Escape clears.
    tab.click("button:text-is('Box')")
    before = set(expected.tolist())
    boxes = [
        [place_of(tab, [a - 4, b - 4]), place_of(tab, [a + 4, b + 4])]
        for a, b in ((10, 10), (-10, 10))
    ]
    tab.keyboard.down("Shift")
    drag(tab, boxes[0])
    tab.keyboard.up("Shift")
    now = before | set(np.flatnonzero(labels == 3).tolist())
    assert set(tab.evaluate("fasttsne.selection()")) == now
    tab.keyboard.down("Alt")
    drag(tab, boxes[1])
    tab.keyboard.up("Alt")
    now -= set(np.flatnonzero(labels == 2).tolist())
    assert set(tab.evaluate("fasttsne.selection()")) == now
    tab.focus(".map")
    tab.keyboard.press("Escape")
    assert tab.inner_text(".count") == "0 of 160 points selected"
    assert tab.is_disabled("button:text-is('Download')")


@pytest.mark.slow
def test_a_box_selects_shown_points_and_copies_them(opened, page):
    Y, labels = corners()
    seen = opened(Y, [f"class {label}" for label in labels])
    tab = seen.tab
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.click(".legend button:has-text('class 1')")  # hidden points are not selected
    tab.click("button:text-is('Box')")
    left, right = place_of(tab, [-12, -9.7]), place_of(tab, [12, -20])
    drag(tab, [left, right])
    expected = np.flatnonzero((labels == 0) & (Y[:, 1] < -9.7))
    assert tab.evaluate("fasttsne.selection()") == expected.tolist()

    def copied():
        tab.click("button:text-is('Copy')")
        wait_for(tab, "document.querySelector('.count').textContent.endsWith('copied')")
        text = tab.evaluate("navigator.clipboard.readText()")
        return pd.read_csv(io.StringIO(text), sep="\t")

    table = copied()
    assert table.columns.tolist() == ["row", "tsne0", "tsne1", "label"]
    assert table["row"].tolist() == expected.tolist()
    np.testing.assert_array_equal(table[["tsne0", "tsne1"]].astype(np.float32), Y[expected])

    # Where the page may not write to the clipboard, the old way; else a message.
    tab.evaluate("navigator.clipboard.writeText('')")
    tab.evaluate("navigator.clipboard.writeText = () => Promise.reject(new Error('no')); null")
    tab.evaluate("fasttsne.select([3, 5])")
    assert copied()["row"].tolist() == [3, 5]
    tab.evaluate("document.execCommand = () => false; null")
    tab.click("button:text-is('Copy')")
    wait_for(tab, "document.querySelector('.count').textContent.endsWith('use Download')")
    assert seen.errors == []


@pytest.mark.slow
def test_programs_select_listen_recolour_move_and_end(opened):
    Y, labels = corners()
    seen = opened(Y, labels, columns={"mass": np.arange(160) / 7})
    tab = seen.tab
    tab.evaluate("heard = []; stop = fasttsne.onSelect((rows) => heard.push(rows)); null")
    tab.evaluate("fasttsne.select([1, 5, 2, 999])")
    assert tab.evaluate("fasttsne.selection()") == [1, 2, 5]
    assert tab.inner_text(".count") == "3 of 160 points selected"
    assert tab.evaluate("heard") == []
    tab.click("text=Clear")
    assert tab.evaluate("heard") == [[]]
    tab.evaluate("stop()")
    tab.focus(".map")
    tab.keyboard.press("Enter")
    assert tab.evaluate("heard") == [[]]
    tab.click("text=Clear")
    tab.evaluate("fasttsne.colorBy('mass')")
    assert tab.input_value(".color") == "1"
    # New coordinates: mirrored, larger and elsewhere, in a window around them.
    before = place_of(tab, Y[0])
    moved = Y * [-1000, 1000] + 5000
    arrays = [moved[:, axis].tolist() for axis in (0, 1)]
    tab.evaluate("([x, y]) => fasttsne.move(Float64Array.from(x), y)", arrays)
    after = place_of(tab, moved[0])
    box = tab.locator(".map").bounding_box()
    assert after[0] == pytest.approx(2 * box["x"] + box["width"] - before[0], abs=5)
    assert after[1] == pytest.approx(before[1], abs=5)
    tab.wait_for_timeout(300)
    assert ink_at(tab, moved[0]) > 50
    assert hover(tab, moved[7])[0].startswith("mass: ")
    assert seen.errors == []
    tab.evaluate("fasttsne.destroy()")
    assert tab.locator(".fasttsne").count() == 0
    assert seen.errors == []


@pytest.mark.slow
def test_a_view_is_drawn_from_bytes_too(opened):
    Y, labels = corners()
    seen = opened(Y, labels)
    data = packed(view_data(Y, labels, columns={"mass": np.arange(160) / 7}), text=False)
    arrays = json.loads(json.dumps(data, default=list))  # bytes as numbers
    program = """(data) => {
        fasttsne.destroy();
        const revived = (key, value) => {
            if (!value?.dtype) return value;
            const odd = new Uint8Array(value.data.length + 1);  // not aligned
            odd.set(value.data, 1);
            return { dtype: value.dtype, data: new DataView(odd.buffer, 1) };
        };
        const host = document.createElement("div");
        const root = host.attachShadow({ mode: "open" }), inner = document.createElement("div");
        root.append(inner);
        document.body.append(host);
        const given = JSON.parse(JSON.stringify(data), revived);
        shown = draw(inner, given, { height: "500px", dark: true });
    }"""
    tab = seen.tab
    tab.evaluate(program, arrays)
    tab.wait_for_timeout(300)
    x, y = tab.evaluate("([x, y]) => shown.place(x, y)", Y[0].tolist())
    assert y < 500
    tab.mouse.move(x, y)
    tab.wait_for_selector(".tip", state="visible")
    assert tab.inner_text(".tip b") == "0"
    assert tab.inner_text(".tip span") == "mass: 0"
    assert seen.errors == []


@pytest.mark.slow
def test_the_colour_is_chosen_on_the_page(opened):
    Y, labels = corners()
    columns = {
        "mass": labels / 10,
        "sex": np.array(["m", "f"])[labels % 2],
        "some": np.where(labels == 1, np.nan, np.arange(160) / 7),
        "name": [f"row {i}" for i in range(160)],
        "heavy": np.append([1e9], np.arange(159) / 159),
    }
    seen = opened(Y, [f"class {label}" for label in labels], columns=columns)
    tab, medians = seen.tab, medians_of(Y, labels)
    tab.click("text=Names")
    choices = tab.locator(".color option").all_text_contents()
    assert choices == ["one colour", "label", "mass", "sex", "some", "heavy"]

    def shown(name):
        tab.select_option(".color", label=name)
        tab.wait_for_timeout(400)
        return [colour_at(tab, median) for median in medians]

    by_label = [colour_at(tab, median) for median in medians]
    assert len({tuple(colour) for colour in by_label}) == 4
    assert tab.locator(".legend button span").all_text_contents() == [
        f"class {i}" for i in range(4)
    ]
    sex = shown("sex")
    assert sex[0] == sex[2] != sex[1] == sex[3]
    assert tab.inner_text(".legend h2") == "sex"
    assert tab.locator(".legend button span").all_text_contents() == ["f", "m"]
    mass = np.array(shown("mass"))
    assert mass[0][2] > mass[0][1] and mass[3][1] > mass[3][2]  # from violet to yellow
    scale = tab.locator(".scale")
    assert scale.get_attribute("aria-label") == "Colours of mass from 0 to 0.3"
    assert tab.locator(".ticks span").all_text_contents() == ["0.3", "0.15", "0"]
    some = shown("some")
    assert max(some[1]) - min(some[1]) < 3  # grey
    assert tab.locator(".legend button").get_attribute("aria-label") == "missing, 40 points"
    shown("heavy")  # one far value does not hide all others
    assert tab.locator(".ticks span").first.text_content().startswith("≥ 0.98")
    one = shown("one colour")
    assert one[0] == one[1] == one[2] == one[3]
    assert tab.text_content(".legend") == ""
    assert shown("label") == by_label
    assert hover(tab, Y[0])[1].splitlines()[0] == "mass: 0"
    assert seen.errors == []


@pytest.mark.slow
def test_names_do_not_overlap_and_zooming_shows_more(opened):
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(120, 2)) * 30
    labels = np.tile(np.arange(120), 20)
    Y = middles[labels] + rng.normal(size=(2400, 2))
    seen = opened(Y, [f"a class with the number {label}" for label in labels])
    tab = seen.tab
    boxes = """[...document.querySelectorAll(".names span:not([hidden])")].map((span) => {
        const { left, top, right, bottom } = span.getBoundingClientRect();
        return [span.textContent, left, top, right, bottom]; })"""

    def names():
        found = tab.evaluate(boxes)
        places = np.array([place[1:] for place in found])
        area = tab.locator(".map").bounding_box()
        assert places[:, 0].min() >= area["x"] and places[:, 1].min() >= area["y"]
        for i in range(len(places)):
            apart = (places[:, :2] >= places[i, 2:] - 0.01).any(axis=1)
            apart |= (places[:, 2:] <= places[i, :2] + 0.01).any(axis=1)
            assert apart.sum() == len(places) - 1
        return {name for name, *_ in found}

    whole = names()
    assert 10 < len(whole) < 100
    x, y = place_of(tab, np.median(middles, axis=0))
    tab.mouse.move(x, y)
    area, seen_now = tab.locator(".map").bounding_box(), set()
    for _ in range(4):
        tab.mouse.wheel(0, -200)
        tab.wait_for_timeout(300)
        seen_now |= names()
    places = np.array([place_of(tab, middle) for middle in middles])
    inside = (
        np.abs(places - [area["x"], area["y"]] - np.array([area["width"], area["height"]]) / 2)
        < 0.45 * np.array([area["width"], area["height"]])
    ).all(axis=1)
    assert 3 < inside.sum() < 60
    assert len(names()) >= 0.8 * inside.sum()  # all that are in view, but a few
    assert len(seen_now - whole) > 5
    tab.click("text=Names")
    assert tab.evaluate(boxes) == []
    assert seen.errors == []


@pytest.mark.slow
def test_a_name_is_on_its_class_even_if_the_class_is_a_ring(opened):
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, 2 * np.pi, 600)
    ring = 10 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    Y = np.concatenate([ring, rng.normal(size=(300, 2))])
    tab = opened(Y, ["ring"] * 600 + ["core"] * 300).tab
    middle = np.array(place_of(tab, [0, 0]))
    for name, low, high in (("ring", 0.7, 1.3), ("core", 0.0, 0.2)):
        box = tab.locator(f".names span:text-is('{name}')").bounding_box()
        place = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
        radius = np.linalg.norm(place - middle) / (place_of(tab, [10, 0])[0] - middle[0])
        assert low <= radius <= high


@pytest.mark.slow
def test_a_hover_shows_class_text_columns_and_thumbnail(opened):
    Y = np.array([[-10.0, 0.0], [10.0, 0.0]])
    thumbnails = np.stack([np.full((5, 5), 0), np.full((5, 5), 255)]).astype(np.uint8)
    columns = {NASTY: [0.5, np.nan]}
    texts = [f"first\n{NASTY}", "second"]
    seen = opened(Y, ["left", NASTY], hover=texts, columns=columns, thumbnails=thumbnails)
    assert hover(seen.tab, [-10.0, 0.0]) == ("left", f"first\n{NASTY}\n{NASTY}: 0.5")
    image = seen.tab.locator(".tip i").bounding_box()
    assert min(image["width"], image["height"]) > 50
    seen.tab.mouse.move(450, 200)
    assert not seen.tab.is_visible(".tip")
    assert hover(seen.tab, [10.0, 0.0]) == (NASTY, f"second\n{NASTY}: ")
    assert seen.tab.title() == "t-SNE map"
    assert seen.tab.locator("img").count() == 0
    assert not [url for url in seen.requests if "example.org" in url]
    assert seen.errors == []


@pytest.mark.slow
def test_no_text_is_ever_markup(opened):
    texts = [NASTY, BIDI, "<script>document.title = 'taken'</script>"]
    Y = np.array([[-10.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    columns = {NASTY: texts, BIDI: [0.5, 1.5, 2.5], "id": list("abc")}
    seen = opened(Y, texts, hover=texts, columns=columns, title=NASTY, label_name="<b>")
    tab = seen.tab
    for choice in tab.locator(".color option").all_text_contents():
        tab.select_option(".color", label=choice)
        for point in Y:
            hover(tab, point)
            tab.mouse.move(450, 650)
    tab.select_option(".color", label="<b>")
    assert sorted(tab.locator(".legend button span").all_text_contents()) == sorted(
        text if len(text) <= 36 else f"{text[:23].rstrip()}…{text[-12:].lstrip()}" for text in texts
    )
    assert tab.locator("h1").text_content() == tab.title() == NASTY
    tab.focus(".map")
    tab.keyboard.press("Enter")
    table = downloaded(tab)
    assert table["<b>"].tolist() == texts
    assert table[BIDI].tolist() == [0.5, 1.5, 2.5]
    assert tab.locator("img, b b, .fasttsne script, iframe").count() == 0
    assert [url for url in seen.requests if "example.org" in url] == seen.errors == []


@pytest.mark.slow
@pytest.mark.parametrize("labels", [None, [0.5, np.nan, 2.0], [None] * 3], ids=str)
def test_other_labels_open_too(opened, labels):
    Y = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    seen = opened(Y, labels)
    assert ink_at(seen.tab, [0.0, 0.0]) > 10
    assert (
        hover(seen.tab, [0.0, 0.0])
        == {None: ("", "row 0"), float: ("label: 0.5", ""), type(None): ("missing", "")}[
            labels and type(labels[0])
        ]
    )
    assert seen.errors == []


@pytest.mark.slow
def test_no_button_sends_anything_or_opens_a_window(opened, page):
    Y, labels = corners()
    seen = opened(Y, [f"class {label}" for label in labels])
    tab, windows = seen.tab, []
    tab.context.on("page", lambda opened: windows.append(opened))
    tab.evaluate("fasttsne.select([1, 2])")
    for button in tab.locator("button:visible").all():
        if button.is_enabled():
            button.click()
            tab.wait_for_timeout(100)
    assert tab.locator("a, form, iframe, dialog").count() == 0
    assert [url for url in seen.requests if not url.startswith("blob:")] == [page.as_uri()]
    assert seen.errors == windows == []

    # What a text might try is refused by the policy of the page.
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
        area = "document.querySelector('.map').clientWidth"
        wait_for(tab, f"{area} > {width / 2} && {area} <= {width}")
        wait_for(tab, f"document.querySelector('canvas').clientWidth === {area}")
        (left, top), (right, bottom) = (place_of(tab, corner) for corner in ([0, 10], [50, 0]))
        legend = tab.locator(".legend").bounding_box() if n_classes else None
        assert left > 0 and top > 0 and bottom < height and right < width
        if n_classes and width == 375:
            assert bottom < legend["y"] and legend["x"] + legend["width"] <= width
            assert legend["y"] < height - 60
        elif n_classes:
            assert right < legend["x"]
        assert right - left == pytest.approx(5 * (bottom - top), rel=1e-3)
        assert right - left > 0.4 * width
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_the_legend_is_in_natural_order_and_missing_last(opened):
    labels = np.array([None, *[f"T{i}" for i in range(100)]], dtype=object)
    labels = np.append(labels, labels[:41])  # the largest
    tab = opened(np.random.default_rng(0).normal(size=(len(labels), 2)), labels).tab
    entries = tab.locator(".legend button span").all_text_contents()
    assert entries[:40] == [f"T{i}" for i in range(40)]
    assert entries[-2:] == ["40 smaller classes", "missing"]


@pytest.mark.slow
def test_a_search_looks_in_one_column_or_in_all_and_can_be_selected(opened):
    Y, labels = corners()
    columns = {
        "gene": np.array(["kit", "spi1", "cd3e", "pax5"])[labels],
        "note": [f"kit {i}" if i == 100 else f"row {i}" for i in range(160)],
        "mass": np.arange(160) / 7,
    }
    seen = opened(Y, labels, columns=columns)
    tab = seen.tab
    assert tab.locator(".within option").all_text_contents() == [
        "all texts",
        "label",
        "gene",
        "note",
    ]

    def found(text, column):
        tab.fill(".search", text)
        tab.select_option(".within", label=column)
        tab.wait_for_timeout(400)
        return tab.inner_text(".found")

    assert found("kit", "all texts") == "41 found"
    assert found("KIT 1", "note") == "1 found"
    tab.click("text=Select found")
    assert tab.evaluate("fasttsne.selection()") == [100]
    assert found("kit", "gene") == "40 found"
    tab.click("text=Select found")
    assert tab.evaluate("fasttsne.selection()") == list(range(40))
    tab.click(".legend button:has-text('0')")  # hidden points are not found
    assert found("kit", "all texts") == "1 found"
    assert found("", "all texts") == ""
    assert not tab.is_visible("text=Select found")
    assert seen.errors == []


@pytest.mark.slow
def test_everything_is_reached_by_tab_and_named(opened):
    Y, labels = corners()
    texts = [f"text {i}" for i in range(160)]
    seen = opened(Y, [f"class {label}" for label in labels], hover=texts)
    tab = seen.tab
    tab.evaluate("fasttsne.select([4, 2])")
    names = []
    for _ in range(30):
        tab.keyboard.press("Tab")
        names.append(tab.evaluate("document.activeElement.getAttribute('aria-label')"))
    reached = [name for name in dict.fromkeys(names) if name]
    assert reached[:3] == ["Colour by", "Search texts", "Search in"]
    assert any(name.startswith("Map of 160 points. Arrow keys move") for name in reached)
    assert [name for name in reached if name.startswith("class")] == [
        f"class {i}, 40 points" for i in range(4)
    ]
    focusable = tab.locator("button:visible, select:visible, input:visible, .map")
    assert len(reached) == focusable.count()
    for element in focusable.all():
        assert element.get_attribute("aria-label") in reached
    assert tab.locator("[aria-live=polite]").text_content() == "2 of 160 points selected"

    # The map by keys: read points, move, zoom, select what is in view, clear.
    tab.focus(".map")
    tab.keyboard.press("n")
    assert tab.locator("[aria-live=polite]").text_content() == "Row 2; class 0; text 2"
    assert tab.is_visible(".tip")
    tab.keyboard.press("n")
    assert tab.locator("[aria-live=polite]").text_content() == "Row 4; class 0; text 4"
    tab.keyboard.press("p")
    tab.keyboard.press("p")
    assert tab.locator("[aria-live=polite]").text_content() == "Row 4; class 0; text 4"
    x, y = place_of(tab, [0, 0])
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowDown")
    assert place_of(tab, [0, 0]) == pytest.approx([x + 60, y - 60])
    tab.keyboard.press("0")
    assert place_of(tab, [0, 0]) == pytest.approx([x, y])
    for key in ["ArrowRight"] * 5 + ["ArrowUp"] * 5 + ["+"] * 2:
        tab.keyboard.press(key)
    tab.keyboard.press("Enter")
    box = tab.locator(".map").bounding_box()
    places = np.array([place_of(tab, point) for point in Y]) - [box["x"], box["y"]]
    inside = ((places > 0) & (places < [box["width"], box["height"]])).all(axis=1)
    assert 0 < inside.sum() < 160
    assert tab.evaluate("fasttsne.selection()") == np.flatnonzero(inside).tolist()
    tab.keyboard.press("Escape")
    assert tab.evaluate("fasttsne.selection()") == []
    tab.locator(".legend button").first.press("Enter")
    assert tab.locator(".legend button").first.get_attribute("aria-pressed") == "false"
    assert seen.errors == []


@pytest.mark.slow
def test_dark_follows_the_system_until_the_switch(opened):
    Y, labels = corners()
    seen = opened(Y, labels)
    tab = seen.tab

    def state():
        tab.wait_for_timeout(300)
        ground = pixels_at(tab, [0, 0], 3).mean()
        pressed = tab.locator("button:text-is('Dark')").get_attribute("aria-pressed")
        return bool(ground < 60), pressed

    assert state() == (False, "false")
    tab.emulate_media(color_scheme="dark")
    assert state() == (True, "true")
    tab.click("text=Dark")
    assert state() == (False, "false")
    tab.emulate_media(color_scheme="light")
    tab.click("text=Dark")
    assert state() == (True, "true")
    # Every class can be seen on the dark ground.
    tab.click("text=Names")
    tab.wait_for_timeout(300)
    for median in medians_of(Y, labels):
        red, green, blue = (np.array(colour_at(tab, median)) / 255) ** 2.2
        assert 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.1  # a contrast of 2.6
    assert seen.errors == []


@pytest.mark.slow
def test_without_webgl_the_page_says_so(tab, page):
    Y, labels = corners()
    html(Y, labels, page)
    tab.tab.add_init_script("""
        const before = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...options) {
            return kind === "webgl2" ? null : before.call(this, kind, ...options);
        };
    """)
    tab.tab.goto(page.as_uri())
    tab.tab.wait_for_selector("[role=alert]")
    assert "no WebGL 2" in tab.tab.inner_text("[role=alert]")
    assert tab.errors == []


@pytest.mark.slow
def test_no_number_text_or_size_breaks_the_page(opened):
    Y, _ = corners(5)
    tab = opened(
        Y,
        columns={"range": np.linspace(-1, 1, len(Y)) * 1.7e308, "long": ["long " * 5000] * len(Y)},
        title="title " * 500,
    )
    assert tab.tab.locator(".ticks span").all_text_contents() == ["1.7e+308", "0", "-1.7e+308"]
    assert tab.tab.evaluate("document.querySelector('.map').clientHeight") > 300
    tab.tab.focus(".map")
    tab.tab.keyboard.press("p")  # reads the last point, on the right
    assert tab.tab.is_visible(".tip")
    tab.tab.select_option(".color", label="long")
    tab.tab.keyboard.press("Home")
    tab.tab.focus(".map")
    tab.tab.keyboard.press("p")
    assert tab.tab.evaluate("document.documentElement.scrollHeight") == 700
    tab.tab.set_viewport_size({"width": 400, "height": 600})
    wait_for(tab.tab, "document.querySelector('.tip').hidden")
    assert tab.tab.evaluate("document.documentElement.scrollWidth") == 400
    assert tab.errors == []


@pytest.mark.parametrize("title", [None, 3])
def test_a_title_may_be_none_or_a_number(page, title):
    html(np.eye(3, 2), path=page, title=title)
    text = page.read_text(encoding="utf-8")
    assert f"<title>{'' if title is None else '3'}</title>" in text
