"""A browser for the tests of what is drawn in one."""

import os
import shutil
from types import SimpleNamespace

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
SOFTWARE_GL = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH")
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=program, args=SOFTWARE_GL)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, request):
    """A tab: it notes what it asked for, and what went wrong in it.

    With FASTTSNE_SCREENSHOTS, a directory, the state at the end of each test is written there.
    """
    opened = browser.new_page(viewport={"width": 900, "height": 700})
    requests, errors = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text))
    yield SimpleNamespace(tab=opened, requests=requests, errors=errors)
    if folder := os.environ.get("FASTTSNE_SCREENSHOTS"):
        opened.screenshot(path=os.path.join(folder, f"{request.node.name}.png"))
    opened.close()
