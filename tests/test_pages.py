"""The programs on pages of docs/ run: whole pages, and the sections of other-tools.md."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
NOT_THERE = 77
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What each page needs beside the package, and what its program must have reached.
PAGES = {
    "perplexity": (["matplotlib"], ""),
    "spreadsheet": (["pandas", "pyarrow", "matplotlib"], "assert len(table) == 178"),
    "texts": (
        ["matplotlib"],
        """
from fasttsne.quality import knn_accuracy
assert knn_accuracy(Y, topics) > 0.9
""",
    ),
    "single-cells": (
        ["scanpy"],
        """
from fasttsne.quality import knn_accuracy
for key in ("X_tsne", "X_tsne_graph"):
    assert knn_accuracy(adata.obsm[key], adata.obs["bulk_labels"]) > 0.75, key
assert abs(adata.uns["tsne_graph"]["params"]["perplexity"] - 28 / 3) < 1e-9
""",
    ),
    "migration": (["openTSNE"], "assert tsne.embedding_.shape == (500, 2)"),
}

# The sections of other-tools.md in their order: the same.
TOOLS = {
    "Any script that uses scikit-learn": (
        ["sklearn"],
        'assert TSNE.__module__ == "fasttsne.patch"',
    ),
    "scikit-learn": (["pandas"], 'assert list(placed) == ["tsne0", "tsne1"]'),
    "scanpy": (
        ["scanpy"],
        """
import numpy as np
np.testing.assert_array_equal(adata.obsm["X_tsne_patched"], adata.obsm["X_tsne"])
""",
    ),
    "yellowbrick": (
        ["yellowbrick"],
        """
import os, sys
assert isinstance(visualizer.transformer_.steps[-1][1], fasttsne.TSNE)
assert sys.modules["yellowbrick.text.tsne"].TSNE.__module__ == "sklearn.manifold._t_sne"
assert os.path.getsize("digits.png") > 10_000
""",
    ),
    "BERTopic": (
        ["bertopic"],
        """
assert reduction.embedding_.shape == (len(texts), 5)
assert len(set(topics)) > 5
""",
    ),
    "HDBSCAN": (["hdbscan"], "assert 8 <= clusters.max() + 1 <= 20"),
    "UMAP": (["umap"], "assert of_tsne.shape == of_umap.shape == (1797, 2)"),
    "Dask": (["dask.array", "distributed"], "assert Y.shape == (1797, 2)"),
    "datamapplot": (["datamapplot"], ""),
}


def program(text):
    """The Python of a text, with the commands of fasttsne in its place among it."""
    lines = []
    for language, block in BLOCK.findall(text):
        if language == "python":
            lines.append(block)
        elif not block.startswith("fasttsne run"):
            words = shlex.split(block)
            assert words[0] == "fasttsne"
            lines.append(f"import fasttsne.cli\nassert fasttsne.cli.main({words[1:]}) == 0\n")
    return "".join(lines)


def sections():
    """The sections of other-tools.md by their headings."""
    text = (DOCS / "other-tools.md").read_text(encoding="utf-8")
    return {s.partition("\n")[0]: s for s in re.split(r"^## ", text, flags=re.MULTILINE)[1:]}


def run(text, packages, check):
    """Run a program with its check in a process of its own, or skip where a package is missing."""
    missing = [name for name in packages if find_spec(name.partition(".")[0]) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    Path("program.py").write_text(
        f"import sys\ntry:\n    import {', '.join(packages)}\nexcept ImportError as error:\n"
        f"    print(error)\n    sys.exit({NOT_THERE})\n{program(text)}\n{check}\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-W", "ignore", "program.py"]
    env = {**os.environ, "MPLBACKEND": "Agg"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=500, env=env)
    if ended.returncode == NOT_THERE:
        pytest.skip(f"does not work here: {ended.stdout}")
    assert ended.returncode == 0, ended.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_pages_run(page, here):
    run((DOCS / f"{page}.md").read_text(encoding="utf-8"), *PAGES[page])


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_programs_with_other_tools_run(tool, here):
    run(sections()[tool], *TOOLS[tool])


def test_every_section_on_other_tools_is_run():
    assert list(sections()) == list(TOOLS)


def test_links_between_pages_lead_somewhere():
    for path in DOCS.glob("*.md"):
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
            file = path.parent / target if target else path
            assert file.is_file(), f"{path.name}: {target}"
            if anchor and file.suffix == ".md":
                headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.M)
                names = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
                assert anchor in names, f"{path.name}: {target}#{anchor}"
