"""plot/notebook.py: the widget in Python, in a kernel, in JupyterLab and in marimo."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

from fasttsne import TSNE
from fasttsne.plot import widget

X, SPECIES = load_iris(return_X_y=True)
Y = X[:, :2].astype(np.float32)
PATIENCE = 120  # seconds for a server or a kernel to start

needs_anywidget = pytest.mark.usefixtures("anywidget")


@pytest.fixture
def anywidget():
    return pytest.importorskip("anywidget")


def places_of(view):
    """The coordinates of the last frame, of shape (n_samples, 2)."""
    return np.frombuffer(view._places, dtype="<f4").reshape(2, -1).T


# ---- without a kernel ---------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["anywidget", "ipywidgets", "traitlets"])
def test_a_missing_extra_is_named(monkeypatch, module):
    monkeypatch.delitem(sys.modules, "fasttsne.plot.map_widget", raising=False)
    if module != "anywidget":  # which imports the others
        pytest.importorskip("anywidget")
        names = (name for name in sys.modules if name.partition(".")[0] == "anywidget")
        for name in [*names]:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'fasttsne\[notebook\]'"):
        widget(Y)


@needs_anywidget
def test_what_goes_to_the_browser_is_bytes():
    view = widget(Y, SPECIES, columns={"length": X[:, 2]}, height=300)
    state = view.get_state()
    assert state["height"] == 300
    assert state["selection"] == b""
    data = state["_data"]
    assert data["points"]["dtype"] == "float32"
    points = np.frombuffer(data["points"]["data"], dtype="<f4").reshape(-1, 2)
    np.testing.assert_array_equal(points, Y)
    label, length = data["columns"]
    assert (label["names"], length["name"]) == (["0", "1", "2"], "length")
    assert label["codes"]["data"] == SPECIES.astype(np.int8).tobytes()
    rest = json.dumps(state, default=lambda content: f"{len(content)} bytes")
    assert len(rest) < len(view._esm) + 10_000


@needs_anywidget
def test_a_selection_is_different_rows_in_order():
    view = widget(Y)
    assert (view.selection.dtype, view.selection.tolist()) == (np.int64, [])
    view.selection = [7, 3, 7, 0]
    assert (view.selection.dtype, view.selection.tolist()) == (np.int64, [0, 3, 7])
    assert view.get_state()["selection"] == np.array([0, 3, 7], dtype="<i4").tobytes()
    with pytest.raises(ValueError, match="read-only"):
        view.selection[0] = 1
    view.selection = mask = SPECIES == 2
    np.testing.assert_array_equal(view.selection, np.flatnonzero(mask))
    view.selection = ()
    assert view.selection.tolist() == []
    view.selection = np.array([149], dtype=np.uint8)
    assert view.selection.tolist() == [149]


@needs_anywidget
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([150], "selection must have row numbers from 0 to 149; got 150"),
        ([3, -1], "selection must have row numbers from 0 to 149; got -1"),
        ([0.5], r"selection must be a list of row numbers or a mask; got shape \(1,\) of float64"),
        (["a"], "selection must be a list of row numbers or a mask"),
        (3, r"selection must be a list of row numbers or a mask; got shape \(\)"),
        (None, "selection must be a list of row numbers or a mask"),
        ([[1, 2]], "selection must be a list of row numbers or a mask"),
        (np.ones(3, dtype=bool), r"a mask for selection must have one entry per point \(150\)"),
    ],
)
def test_a_wrong_selection_is_refused_and_changes_nothing(rows, message):
    view = widget(Y)
    view.selection = [5]
    with pytest.raises(ValueError, match=message):
        view.selection = rows
    assert view.selection.tolist() == [5]


@needs_anywidget
def test_changes_of_the_selection_are_observed():
    view, seen = widget(Y), []
    view.observe(lambda change: seen.append(change["new"].tolist()), "selection")
    view.selection = [1, 2]
    view.selection = [2, 1]
    view.selection = [3]
    view.set_state({"selection": memoryview(np.array([4, 9], dtype="<i4"))})  # by the browser
    assert seen == [[1, 2], [3], [4, 9]]


@needs_anywidget
def test_a_fit_is_drawn_and_the_widget_may_be_there_before(monkeypatch):
    clock = iter(np.arange(1000.0))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    view, maps = widget(labels=SPECIES), []
    assert view._data == {}
    with pytest.raises(ValueError, match="of a map, and there is none yet; got 0"):
        view.selection = [0]

    def draw(state):
        view.callback(state)
        maps.append((state.embedding, view._places))

    tsne = TSNE(callback=draw, callback_every=10, max_iter=250, random_state=0).fit(X)
    assert view._data["columns"][0]["names"] == ["0", "1", "2"]
    first = np.frombuffer(view._data["points"]["data"], dtype="<f4").reshape(-1, 2)
    np.testing.assert_array_equal(first, maps[0][0])
    assert maps[0][1] == b""
    assert len(maps) > 10
    for embedding, places in maps[1:]:
        assert places == embedding.tobytes(order="F")
    view.selection = [4]
    view.move(tsne.embedding_)
    np.testing.assert_array_equal(places_of(view), tsne.embedding_)
    assert view.selection.tolist() == [4]


@needs_anywidget
@pytest.mark.parametrize(("n_points", "interval"), [(2, 0.1), (100_000, 0.1), (400_000, 0.4)])
def test_frames_keep_to_a_rate(monkeypatch, n_points, interval):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    view, drawn = widget(np.zeros((n_points, 2), dtype=np.float32)), []
    view.observe(lambda change: drawn.append(round(now, 6)), "_places")
    for step in range(101):
        now = step * 0.01
        embedding = np.full((n_points, 2), step + 1, dtype=np.float32)
        view.callback(SimpleNamespace(embedding=embedding))
    np.testing.assert_allclose(drawn[:3], [0, interval, 2 * interval], atol=0.011)


@needs_anywidget
def test_clones_draw_on_the_same_view():
    view = widget(labels=SPECIES)
    tsne = clone(TSNE(callback=view.callback, callback_every=50, max_iter=250))
    assert tsne.callback.__self__ is view
    tsne.fit(X)
    assert view.n_points == 150


@needs_anywidget
def test_arrays_of_the_user_are_left_alone():
    map_, rows = np.asfortranarray(Y.astype(np.float64)), np.array([3, 1])
    before = map_.copy()
    view = widget(map_)
    view.selection = rows
    view.move(map_)
    np.testing.assert_array_equal(map_, before)
    assert rows.tolist() == [3, 1] and rows.flags.writeable


@needs_anywidget
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Y": np.zeros((3, 3))}, "Y must have 2 columns"),
        ({"Y": Y, "labels": [0, 1]}, "labels"),
        ({"Y": Y, "hover": ["a"]}, r"hover must have one entry per point \(150\); got 1"),
        ({"Y": Y, "height": 10}, "height must be at least 200 pixels; got 10"),
        ({"Y": Y, "height": "a"}, "height='a' must be an integer"),
        ({"Y": Y, "height": np.inf}, "height=inf must be an integer"),
        ({"labels": SPECIES, "hover": ["a"]}, r"one entry per point \(150\); got 1"),
        ({"hover": ["a"], "color": "size"}, "color must be the name of a column"),
        ({"columns": {"a": [1, 2], "b": [1]}}, "b"),
    ],
)
def test_bad_input_is_refused_before_any_fit(given, message):
    with pytest.raises(ValueError, match=message):
        widget(**given)


@needs_anywidget
def test_frames_of_another_shape_are_refused():
    view = widget(Y)
    with pytest.raises(ValueError, match="the widget has 150 points and cannot change their"):
        view.move(Y[:3])
    with pytest.raises(ValueError, match=r"divide it: Y / np\.abs\(Y\)\.max\(\)"):
        view.move(Y.astype(float) * 1e60)
    with pytest.raises(ValueError, match="draws maps of 2 columns; got 3"):
        TSNE(3, callback=view.callback).fit(X)
    assert view._places == b""


# ---- in a kernel --------------------------------------------------------------------------------


@pytest.fixture
def kernel(anywidget, monkeypatch):
    """A kernel of Python: `run` code and get the messages of its comms, `send` to a comm."""
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    pytest.importorskip("ipykernel")
    manager = pytest.importorskip("jupyter_client.manager")
    running, client = manager.start_new_kernel(startup_timeout=PATIENCE)

    def messages(request):
        """Wait for the end of a request; return messages of its comms, and what it printed."""
        comms, printed = [], ""
        while True:
            message = client.get_iopub_msg(timeout=PATIENCE)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != request:
                continue
            if kind == "stream":
                printed += content["text"]
            elif kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif kind.startswith("comm_"):
                comms.append(message)
            elif kind == "status" and content["execution_state"] == "idle":
                return SimpleNamespace(comms=comms, printed=printed.strip())

    def send(comm, name, content):
        data = {"method": "update", "state": {}, "buffer_paths": [[name]]}
        channel, content_ = client.shell_channel.socket, {"comm_id": comm, "data": data}
        sent = client.session.send(channel, "comm_msg", content_, buffers=[content])
        return messages(sent["header"]["msg_id"])

    yield SimpleNamespace(run=lambda code: messages(client.execute(code)), send=send)
    client.stop_channels()
    running.shutdown_kernel(now=True)


def buffers_of(message):
    """The buffers of a comm's message, by the dotted names of what they are."""
    paths = message["content"]["data"].get("buffer_paths", ())
    named = (".".join(map(str, path)) for path in paths)
    return {name: bytes(buffer) for name, buffer in zip(named, message["buffers"], strict=True)}


@pytest.mark.slow
@pytest.mark.nosan
def test_a_kernel_draws_a_fit_and_exchanges_selections(kernel):
    made = kernel.run(
        "import numpy as np\n"
        "from sklearn.datasets import load_iris\n"
        "from fasttsne import TSNE\n"
        "from fasttsne.plot import widget\n"
        "X, y = load_iris(return_X_y=True)\n"
        "view = widget(labels=y)\n"
        "seen = []\n"
        "view.observe(lambda change: seen.append(change['new'].tolist()), 'selection')"
    )
    (opened,) = [one for one in made.comms if "_esm" in one["content"]["data"].get("state", {})]
    state, comm = opened["content"]["data"]["state"], opened["content"]["comm_id"]
    assert opened["msg_type"] == "comm_open"
    assert state["_data"] == {}
    assert "function draw(container, data, options" in state["_esm"]
    assert "export default { render }" in state["_esm"]

    # The fit takes longer than two frames.
    fitted = kernel.run(
        "import time\n"
        "def draw(state):\n"
        "    time.sleep(0.03)\n"
        "    view.callback(state)\n"
        "tsne = TSNE(callback=draw, callback_every=10, max_iter=250, random_state=0).fit(X)\n"
        "print(view.n_points, len(tsne.embedding_))"
    )
    assert fitted.printed == "150 150"
    first, *frames = [buffers_of(one) for one in fitted.comms]
    assert len(first["_data.points.data"]) == 8 * 150
    assert len(first["_data.columns.0.codes.data"]) == 150
    assert len(frames) >= 2
    assert {name for frame in frames for name in frame} == {"_places"}
    assert {len(frame["_places"]) for frame in frames} == {8 * 150}
    assert frames[0] != frames[-1]

    moved = kernel.run("view.move(-tsne.embedding_)\nprint((-tsne.embedding_[7]).tolist())")
    (frame,) = [buffers_of(one)["_places"] for one in moved.comms]
    places = np.frombuffer(frame, dtype="<f4").reshape(2, -1)
    assert places[:, 7].tolist() == json.loads(moved.printed)

    # The browser selects.
    kernel.send(comm, "selection", np.array([3, 141], dtype="<i4").tobytes())
    assert kernel.run("print(view.selection, view.selection.dtype)").printed == "[  3 141] int64"
    # Python selects.
    asked = kernel.run("view.selection = y == 1")
    (sent,) = [buffers_of(one)["selection"] for one in asked.comms]
    assert np.frombuffer(sent, dtype="<i4").tolist() == [*range(50, 100)]
    seen = json.loads(kernel.run("print(seen)").printed)
    assert seen == [[3, 141], [*range(50, 100)]]


# ---- in a browser -------------------------------------------------------------------------------


@contextmanager
def served(command, url, folder):
    """Run a server until the end of the block; yield when it answers."""
    environment = {
        **os.environ,
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HOME": str(folder),
    }
    log = folder / "server.log"
    with open(log, "wb") as output:
        server = subprocess.Popen(
            [sys.executable, *command], env=environment, cwd=folder, stdout=output, stderr=output
        )
        try:
            for _ in range(2 * PATIENCE):
                try:
                    urllib.request.urlopen(url).close()
                    break
                except OSError:
                    assert server.poll() is None, log.read_text()
                    time.sleep(0.5)
            yield
        finally:
            server.terminate()
            server.wait()


def free_port():
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def opened_tab(browser, host):
    """A tab, the errors in it, and its requests to other hosts than `host`."""
    tab = browser.new_page(viewport={"width": 1300, "height": 1000})
    tab.set_default_timeout(PATIENCE * 1000)
    errors, elsewhere = [], []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    ours = tuple(f"{kind}://{host}" for kind in ("http", "ws")) + ("data:", "blob:")
    tab.on("request", lambda one: one.url.startswith(ours) or elsewhere.append(one.url))
    return tab, errors, elsewhere


def select_left_half(tab):
    """Draw a lasso around the left half of the map; return how many points the view counts."""
    tab.get_by_role("button", name="Lasso").click()
    box = tab.locator(".fasttsne .map").bounding_box()
    path = [(0.01, 0.01), (0.5, 0.01), (0.5, 0.99), (0.01, 0.99)]
    corners = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in path]
    tab.mouse.move(*corners[0])
    tab.mouse.down()
    for corner in corners[1:]:
        tab.mouse.move(*corner, steps=5)
    tab.mouse.up()
    return int(tab.inner_text(".fasttsne .count").split()[0])


def wait_for_points(tab):
    """Wait until coloured points are drawn and stand still."""
    import io

    image = pytest.importorskip("PIL.Image")
    before = b""
    for _ in range(60):
        tab.wait_for_timeout(1000)
        shot = tab.locator(".fasttsne .map").screenshot()
        pixels = np.asarray(image.open(io.BytesIO(shot)).convert("RGB"), dtype=int)
        if shot == before and np.count_nonzero(np.ptp(pixels, axis=2) > 40) > 500:
            return
        before = shot
    pytest.fail("no points are drawn, or they move on")


CELLS = [
    "import numpy as np\n"
    "from sklearn.datasets import load_iris\n"
    "from fasttsne import TSNE\n"
    "from fasttsne.plot import widget\n"
    "X, y = load_iris(return_X_y=True)\n"
    "view = widget(labels=y, title='<b>Iris')\n"
    "view",
    "tsne = TSNE(callback=view.callback, callback_every=10, random_state=0).fit(X)\n"
    "view.move(tsne.embedding_)",
    "Y = tsne.embedding_\n"
    "left = Y[:, 0] < (Y[:, 0].min() + Y[:, 0].max()) / 2\n"
    "print('selected', len(view.selection), np.array_equal(view.selection, np.flatnonzero(left)))",
    "view.selection = y == 1",
]


@pytest.mark.slow
@pytest.mark.nosan
def test_jupyterlab_shows_the_map_and_python_gets_the_lasso(anywidget, browser, tmp_path):
    pytest.importorskip("jupyterlab")
    cells = [
        {"cell_type": "code", "id": f"cell-{k}", "source": source}
        | {"metadata": {}, "execution_count": None, "outputs": []}
        for k, source in enumerate(CELLS)
    ]
    named = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": named, "cells": cells}
    (tmp_path / "map.ipynb").write_text(json.dumps(notebook))
    host = f"127.0.0.1:{free_port()}"
    options = "--no-browser --allow-root --ServerApp.ip=127.0.0.1 --IdentityProvider.token=open"
    port = f"--ServerApp.port={host.partition(':')[2]}"
    command = ["-m", "jupyter", "lab", *options.split(), port]
    with served(command, f"http://{host}/api/status?token=open", tmp_path):
        tab, errors, elsewhere = opened_tab(browser, host)
        tab.goto(f"http://{host}/lab/tree/map.ipynb?token=open")
        tab.locator(".jp-Notebook .jp-Cell").first.click()
        tab.wait_for_function("document.body.innerText.includes('Python 3')")
        tab.keyboard.press("Shift+Enter")
        tab.wait_for_function("document.body.innerText.includes('No map yet')")
        tab.keyboard.press("Shift+Enter")
        tab.wait_for_selector(".fasttsne canvas")
        tab.get_by_text("[2]:", exact=True).wait_for()
        wait_for_points(tab)
        assert tab.inner_text(".fasttsne h1") == "<b>Iris"
        assert tab.locator(".fasttsne .legend .entry").count() == 3

        n_selected = select_left_half(tab)
        assert 0 < n_selected < 150
        # Keys on the map are the map's: the same keys would move and delete cells.
        tab.locator(".fasttsne .map").focus()
        for key in ("d", "d", "ArrowDown"):
            tab.keyboard.press(key)
        assert tab.locator(".jp-Notebook .jp-CodeCell").count() >= len(CELLS)
        tab.locator(".jp-Notebook .jp-Cell").nth(2).click()
        tab.keyboard.press("Shift+Enter")
        tab.wait_for_function(
            f"document.body.innerText.includes('selected {n_selected} True')", timeout=30_000
        )
        tab.keyboard.press("Shift+Enter")
        tab.wait_for_function(
            "document.querySelector('.fasttsne .count').textContent.startsWith('50 of 150')"
        )
        assert (errors, elsewhere) == ([], [])
        tab.close()


APP = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    from sklearn.datasets import load_iris
    from fasttsne import TSNE
    from fasttsne.plot import widget
    X, y = load_iris(return_X_y=True)
    view = widget(labels=y)
    shown = mo.ui.anywidget(view)
    shown
    return TSNE, X, mo, shown, view


@app.cell
def _(TSNE, X, view):
    tsne = TSNE(callback=view.callback, callback_every=10, random_state=0).fit(X)
    view.move(tsne.embedding_)


@app.cell
def _(mo, shown, view):
    shown.value  # this cell runs again when the selection changes
    mo.md(f"got {len(view.selection)} rows")
"""


@pytest.mark.slow
@pytest.mark.nosan
def test_marimo_shows_the_map_and_python_gets_the_lasso(anywidget, browser, tmp_path):
    pytest.importorskip("marimo")
    (tmp_path / "app.py").write_text(APP)
    host = f"127.0.0.1:{free_port()}"
    options = f"--headless --no-token --host 127.0.0.1 --port {host.partition(':')[2]}"
    command = ["-m", "marimo", "run", "app.py", *options.split()]
    with served(command, f"http://{host}/health", tmp_path):
        tab, errors, elsewhere = opened_tab(browser, host)
        tab.goto(f"http://{host}/")
        tab.wait_for_selector(".fasttsne canvas")
        tab.get_by_text("got 0 rows").wait_for()
        wait_for_points(tab)
        n_selected = select_left_half(tab)
        assert 0 < n_selected < 150
        tab.get_by_text(f"got {n_selected} rows").wait_for()
        assert (errors, elsewhere) == ([], [])
        tab.close()
