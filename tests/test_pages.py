"""Programs and commands on pages of docs/ run, page by page, one after the other."""

import re
import shlex
from pathlib import Path

import pytest

from fasttsne.cli import main

DOCS = Path(__file__).parent.parent / "docs"
# What each page needs beside the package.
PAGES = {
    "perplexity": ["matplotlib"],
    "spreadsheet": ["pandas", "matplotlib", "plotly"],
    "texts": ["matplotlib", "plotly"],
    "migration": ["openTSNE"],
}


@pytest.mark.filterwarnings("ignore")  # of the other packages
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_page_runs(page, here):
    for package in PAGES[page]:
        pytest.importorskip(package)
    if "matplotlib" in PAGES[page]:
        pytest.importorskip("matplotlib.pyplot").switch_backend("Agg")
    path = DOCS / f"{page}.md"
    text = path.read_text(encoding="utf-8")
    space = {"__name__": page}
    blocks = list(re.finditer(r"^```(python|bash)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) > 0
    for block in blocks:
        if block[1] == "bash":
            assert main(shlex.split(block[2])[1:]) == 0
        else:
            # Blank lines in front, so that a traceback names the line of the page.
            above = "\n" * (text[: block.start()].count("\n") + 1)
            exec(compile(above + block[2], str(path), "exec"), space)
    if "matplotlib" in PAGES[page]:
        import matplotlib.pyplot as plt

        plt.close("all")


def test_links_between_pages_lead_somewhere():
    for path in DOCS.glob("*.md"):
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
            file = path.parent / target if target else path
            # The gallery is written by Sphinx.
            assert file.is_file() or target.startswith("gallery/"), f"{path.name}: {target}"
            if anchor and file.suffix == ".md":
                headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.M)
                names = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
                assert anchor in names, f"{path.name}: {target}#{anchor}"
