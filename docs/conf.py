"""How Sphinx builds this site: ``python -m sphinx -W -b html docs docs/_build``."""

from importlib.metadata import metadata

import matplotlib

matplotlib.use("Agg")

project = "fasttsne"
author = "The fasttsne developers"
facts = metadata("fasttsne")
release = version = facts["Version"]
addresses = dict(line.split(", ") for line in facts.get_all("Project-URL"))

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "api/generated/README*", "gallery/GALLERY_HEADER.rst"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
# Links to files of the repository that are no pages of this site.
suppress_warnings = ["myst.xref_missing", "config.cache"]

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    # They draw pictures of other pages.
    "ignore_pattern": r"(learn_then_draw|contrastive_spectrum|draw_mnist|perplexity)\.py$",
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"fasttsne {release}"
html_theme_options = {
    "github_url": addresses["Repository"],
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 4,
}
# Pages without pages below them have nothing to navigate in: all but api and those in folders.
html_sidebars = {"[!a]*": [], "algorithm": []}
