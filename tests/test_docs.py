"""Every example runs, every parameter is documented, every measured figure names its source."""

import doctest
import importlib
import inspect
import pkgutil
import re
from dataclasses import is_dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

import fasttsne

MODULES = ["fasttsne"] + [
    module.name
    for module in pkgutil.walk_packages(fasttsne.__path__, "fasttsne.")
    if not module.name.rpartition(".")[2].startswith("_")
    and (not module.name.startswith("fasttsne.dask") or find_spec("dask"))
    and (module.name != "fasttsne.plot.map_widget" or find_spec("anywidget"))
]
SECTIONS = (
    "Parameters",
    "Attributes",
    "Returns",
    "Raises",
    "See Also",
    "Notes",
    "References",
    "Examples",
)
README = Path(__file__).parent.parent / "README.md"


def public():
    """What modules offer in __all__, by dotted name: classes, their methods, and functions."""
    found = {}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            item = getattr(module, name)
            if inspect.isclass(item) or inspect.isroutine(item):
                found[f"{item.__module__}.{item.__qualname__}"] = item
            if inspect.isclass(item):
                found |= {
                    f"{item.__module__}.{item.__qualname__}.{name}": method
                    for name, method in vars(item).items()
                    if inspect.isfunction(method) and not name.startswith("_")
                }
    return found


def documented():
    """Every function and class of the package whose docstring has a section Parameters."""
    found = {}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name, item in vars(module).items():
            if getattr(item, "__module__", None) != module_name:
                continue
            items = {name: item}
            if inspect.isclass(item):
                items |= {f"{name}.{key}": value for key, value in vars(item).items()}
            for key, value in items.items():
                if callable(value) and "Parameters" in sections(value):
                    found[f"{module_name}.{key}"] = value
    return found


def sections(item):
    """The sections of a numpydoc docstring, in order: {title: text}."""
    # Not inspect.getdoc, which would take an undocumented method's docstring from its base.
    doc = inspect.cleandoc(getattr(item, "__doc__", None) or "")
    titles = "|".join(SECTIONS)
    parts = re.split(rf"^({titles})\n-+$", doc, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def names_in(section):
    """What a section Parameters or Attributes lists."""
    entries = re.findall(r"^(\S.*?)(?: : .*)?$", section, flags=re.MULTILINE)
    # A type continued on a second line ends the first in a backslash.
    return [name.strip("*") for entry in entries for name in entry.split(", ")]


def parameters_of(item):
    names = list(inspect.signature(item).parameters)
    is_method = inspect.isfunction(item) and "." in item.__qualname__
    return names[1:] if is_method and names[:1] in (["self"], ["cls"]) else names


def is_record(item):
    """Whether it is a class of fields that users are handed, and do not make."""
    if not inspect.isclass(item):
        return False
    return issubclass(item, tuple) or (is_dataclass(item) and "Parameters" not in sections(item))


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    if name.startswith("fasttsne.plot"):
        pytest.importorskip("matplotlib").use("Agg")
    if name == "fasttsne.plot.notebook":
        pytest.importorskip("anywidget")
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    results = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert results.failed == 0


@pytest.mark.parametrize("name", public())
def test_public_things_are_documented(name):
    item = public()[name]
    given = sections(item)
    if is_record(item):
        # What it is made of is what it has.
        assert names_in(given["Attributes"])[: len(parameters_of(item))] == parameters_of(item)
    elif parameters_of(item) and "; see `fit_transform`" not in item.__doc__:
        assert "Parameters" in given
    if inspect.isclass(item):
        assert "Attributes" in given
    elif inspect.signature(item).return_annotation not in (None, "None"):
        assert "Returns" in given
    if inspect.isclass(item) or "." not in item.__qualname__:
        assert ">>>" in given.get("Examples", "")


@pytest.mark.parametrize("name", documented())
def test_documented_parameters_are_those_of_the_signature(name):
    item = documented()[name]
    assert names_in(sections(item)["Parameters"]) == parameters_of(item)


def test_sections_stand_in_numpydoc_order():
    for name, item in (public() | documented()).items():
        given = list(sections(item))
        assert given == [title for title in SECTIONS if title in given], name


def test_parameters_of_tsne_are_documented_with_their_defaults():
    section = sections(fasttsne.TSNE)["Parameters"]
    for name, parameter in inspect.signature(fasttsne.TSNE).parameters.items():
        entry = re.search(rf"^{name} : ((?:.*\\\n)*.*)$", section, flags=re.MULTILINE)
        assert entry, name
        default = re.search(r"default=(\S+)$", entry[1])
        assert default, name
        assert eval(default[1]) == parameter.default, name


def test_fitted_attributes_of_tsne_are_documented(small_digits):
    fitted = fasttsne.TSNE(max_iter=250, init="random").fit(small_digits)
    actual = {name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")}
    listed = set(names_in(sections(fasttsne.TSNE)["Attributes"]))
    # For data with column names, on request, and after `update`.
    assert listed - {"feature_names_in_", "kl_per_sample_", "displacement_"} == actual


def test_python_of_readme_runs(monkeypatch, tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)
    text = README.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert any("TSNE" in block[1] for block in blocks)
    namespace = {"__name__": "readme"}
    for block in blocks:
        # Blank lines in front, so that a traceback names the line of README.
        above = "\n" * (text[: block.start()].count("\n") + 1)
        exec(compile(above + block[1], str(README), "exec"), namespace)
    pyplot.close("all")


def test_the_docs_list_what_users_are_offered():
    page = (README.parent / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   ([A-Za-z_.]+)$", page, flags=re.MULTILINE))
    losses = ("losses", "mining", "sampling", "learning_to_rank", "ranking", "learners")
    offered = set()
    for module_name in ("", "quality", "plot", *(f"metric_learning.{name}" for name in losses)):
        module = importlib.import_module(f"fasttsne.{module_name}".rstrip("."))
        offered |= {
            f"{module_name}.{name}".lstrip(".")
            for name in module.__all__
            if callable(getattr(module, name))
        }
    assert offered - listed == set()


@pytest.mark.parametrize("mark", ["demo", "test"])
def test_readme_marks_its_two_commands(mark):
    text = README.read_text(encoding="utf-8")
    marked = re.findall(rf"<!-- {mark} -->(.*?)<!-- /{mark} -->", text, flags=re.DOTALL)
    assert len(marked) == 1
    commands = re.fullmatch(r"\s*```\w*\n(.+)\n```\s*", marked[0])
    assert commands, "one fenced block with one line"


def test_links_of_readme_lead_somewhere():
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)|src=\"([^\"]+)\"", text):
        target = "".join(target)
        if not target.startswith("https://"):
            assert (README.parent / target).is_file(), target


def test_measured_figures_stand_in_tables_beside_their_command():
    """A second, a megabyte, a "times faster": in a table, and the table says what measures it."""
    measured = re.compile(r"\d\s*(?:ms|s|seconds?|minutes?|[kMG]i?B|times|x|×|%)(?![\w×])")
    text = re.sub(r"^```.*?^```$", "", README.read_text(encoding="utf-8"), flags=re.M | re.S)
    for paragraph in re.split(r"\n\s*\n", text):
        if not paragraph.lstrip().startswith("|"):
            assert not measured.search(paragraph), paragraph
    source = re.compile(r"`(python benchmarks/\w+\.py.*?|fasttsne demo.*?)`")
    tables = [p for p in re.split(r"\n\s*\n", text) if p.lstrip().startswith("|")]
    for table in (t for t in tables if re.search(r"\|\s*[\d.,]+", t)):
        before = text[: text.index(table)].rstrip().rsplit("\n\n", 1)[-1]
        command = source.search(before)
        assert command, f"the paragraph above names no command:\n{table}"
        script = command[1].split()
        if script[0] == "python":
            assert (README.parent / script[1]).is_file(), script[1]
