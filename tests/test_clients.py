"""docs/other-tools.md: its programs run, each section in a process of its own."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "other-tools.md"
NOT_THERE = 77

CHECKS = {
    "sklearn": """
assert TSNE.__module__ == "fasttsne.patch"
""",
    "scanpy": """
import numpy as np
from fasttsne.quality import knn_accuracy
X, kinds = adata.obsm["X_pca"], adata.obs["bulk_labels"]
with fasttsne.patch_sklearn():
    sc.tl.tsne(adata, key_added="patched")
expected = fasttsne.TSNE(random_state=0).fit_transform(X)
np.testing.assert_array_equal(adata.obsm["patched"], expected)
for key in ("X_tsne", "X_tsne_graph", "patched"):
    assert knn_accuracy(adata.obsm[key], kinds) > 0.75, key
assert adata.uns["tsne"]["params"]["perplexity"] == 50
assert abs(adata.uns["tsne_graph"]["params"]["perplexity"] - 28 / 3) < 1e-9
adata.write_h5ad("cells.h5ad")
""",
    "yellowbrick": """
import os
assert isinstance(visualizer.transformer_.steps[-1][1], fasttsne.TSNE)
assert sys.modules["yellowbrick.text.tsne"].TSNE.__module__ == "sklearn.manifold._t_sne"
assert os.path.getsize("digits.png") > 10_000
""",
}


def programs():
    """The Python of each section, by the package that it needs, in the order of the page."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    blocks = [re.findall(r"^```python\n(.*?)^```$", s, re.MULTILINE | re.DOTALL) for s in sections]
    return dict(zip(CHECKS, map("\n".join, blocks), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("package", CHECKS)
def test_the_programs_run(package, here):
    if find_spec(package) is None:
        pytest.skip(f"needs {package}")
    (here / "program.py").write_text(
        f"import sys\ntry:\n    import {package}\nexcept ImportError as error:\n"
        f"    print(error)\n    sys.exit({NOT_THERE})\n{programs()[package]}\n{CHECKS[package]}"
    )
    command = [sys.executable, "-W", "ignore", "program.py"]
    env = {**os.environ, "MPLBACKEND": "Agg"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    if ended.returncode == NOT_THERE:
        pytest.skip(f"{package} does not work here: {ended.stdout}")
    assert ended.returncode == 0, ended.stderr[-2000:]
