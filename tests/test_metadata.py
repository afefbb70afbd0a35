"""The page on the package index, and files that repeat the version or the repository's address."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY, VERSION = PROJECT["urls"]["Repository"], PROJECT["version"]


def description():
    """The long description of the installed package."""
    facts = metadata("fasttsne")
    assert facts["Version"] == VERSION, "install again: the metadata are of another version"
    return facts.get("Description") or facts.get_payload()


def check_links(links):
    """Check that all links are absolute, and those into the repository lead to files of it."""
    assert len(links) > 20
    for link in links:
        assert link.startswith("https://"), link
        path = re.match(rf"{REPOSITORY}/(?:blob|raw)/v{re.escape(VERSION)}/([^#]+)", link)
        assert path is None or (ROOT / path[1]).is_file(), link
        assert path or f"/v{VERSION}#" in link or not link.startswith(REPOSITORY), link


def test_links_of_the_long_description_are_absolute():
    check_links(re.findall(r"\]\(([^)]+)\)", description()))


def test_the_long_description_renders():
    markdown = pytest.importorskip("readme_renderer.markdown")
    page = markdown.render(description())
    # Every heading links to itself.
    check_links(re.findall(r'(?:href|src)="((?!#user-content-)[^"]*)"', page))
    images = re.findall(r'<img [^>]*src="([^"]*)"', page)
    assert len(images) > 1 and all("/raw/" in image for image in images)
    assert "<table>" in page and "](" not in page


def test_a_changed_link_is_noticed():
    for link in ("docs/index.md", "#use", f"{REPOSITORY}/blob/v{VERSION}/no.md", f"{REPOSITORY}/x"):
        with pytest.raises(AssertionError, match=re.escape(link)):
            check_links(["https://example.org"] * 30 + [link])


def test_the_version_is_the_same_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(\S+)\]", changes, re.MULTILINE)[1] == VERSION
    recipe = (ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8")
    assert re.search(r"^  version: (\S+)$", recipe, re.MULTILINE)[1] == VERSION


def test_the_address_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nrepository-code: {REPOSITORY}\n" in citation
    recipe = (ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8")
    assert f"\n  homepage: {REPOSITORY}\n" in recipe
    assert all(REPOSITORY in PROJECT["urls"][name] for name in ("Changelog", "Issues"))


def test_the_conda_recipe_requires_what_the_package_requires():
    recipe = (ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8")
    run = recipe[recipe.index("\n  run:\n") : recipe.index("\ntests:")]
    required = {re.sub(r" *>=", " >=", line) for line in PROJECT["dependencies"]}
    assert required | {"python"} == set(re.findall(r"^    - (.+)$", run, re.MULTILINE))


def test_a_release_is_checked(tmp_path):
    spec = spec_from_file_location("check_release", ROOT / ".ci/check_release.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    platforms = [
        *("manylinux_2_17_x86_64.manylinux2014_x86_64", "manylinux_2_17_aarch64"),
        *("musllinux_1_2_x86_64", "musllinux_1_2_aarch64"),
        *("macosx_11_0_arm64", "macosx_10_13_x86_64", "win_amd64"),
    ]
    files = [f"fasttsne-{VERSION}.tar.gz"]
    pythons = ("cp311-cp311", "cp312-cp312", "cp313-cp313", "cp314-cp314", "cp314-cp314t")
    files += [f"fasttsne-{VERSION}-{tag}-{name}.whl" for tag in pythons for name in platforms]
    files.remove(f"fasttsne-{VERSION}-cp314-cp314t-win_amd64.whl")  # setuptools cannot link it
    for file in files:
        (tmp_path / file).touch()
    dated = f"## [{VERSION}] – 2026-12-01\n"
    assert list(script.faults(f"v{VERSION}", tmp_path, dated)) == []
    assert [*script.faults("v0.9", tmp_path, dated)] == [
        f"the tag is v0.9, and the version {VERSION}: expected v{VERSION}"
    ]
    (found,) = script.faults(f"v{VERSION}", tmp_path, f"## [{VERSION}] – unreleased\n")
    assert found.startswith("CHANGELOG.md has no heading")
    for file in files:
        (tmp_path / file).rename(tmp_path / "aside")
        (found,) = [f for f in script.faults(f"v{VERSION}", tmp_path, dated) if "aside" not in f]
        assert found.endswith(" is missing")
        (tmp_path / "aside").rename(tmp_path / file)
    (tmp_path / f"fasttsne-{VERSION}-cp314-cp314t-macosx_11_0_arm64.whl").touch()
    assert list(script.faults(f"v{VERSION}", tmp_path, dated)) == []
    # The package index takes no wheel for linux_x86_64, and refuses it after others were uploaded.
    untagged = f"fasttsne-{VERSION}-cp311-cp311-linux_x86_64.whl"
    for file in ("fasttsne-0.9-cp311-cp311-win_amd64.whl", untagged):
        (tmp_path / file).touch()
        (found,) = script.faults(f"v{VERSION}", tmp_path, dated)
        assert found == f"{file} is no part of fasttsne {VERSION}"
        (tmp_path / file).unlink()


@pytest.mark.parametrize("compiler", ["no-compiler", "/a b/cc"])
def test_a_build_without_a_compiler_says_what_to_install(tmp_path, compiler):
    pytest.importorskip("Cython", reason="a build needs Cython")
    pytest.importorskip("setuptools", reason="a build needs setuptools")
    folders = ["--build-lib", tmp_path, "--build-temp", tmp_path]
    build = [sys.executable, "setup.py", "-q", "build_ext", *folders]
    environment = {**os.environ, "CC": compiler}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    message = f"error: the C compiler {compiler.split()[0]!r} is not found. Install GCC or clang"
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not any(tmp_path.iterdir())


def test_the_sdist_has_nothing_that_git_ignores(tmp_path, monkeypatch):
    egg_info = pytest.importorskip("setuptools.command.egg_info", reason="reads MANIFEST.in")
    filelist = egg_info.FileList()
    monkeypatch.chdir(tmp_path)
    kept = {"docs/index.md", "docs/images/digits.png", "tests/test_x.py", "examples/x.py"}
    built = {"docs/_build/index.html", "docs/api/x.rst", "docs/gallery/x.rst"}
    built |= {"docs/sg_execution_times.rst", "tests/__pycache__/x.pyc"}
    for name in kept | built:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            filelist.process_template_line(line)
    assert {name.replace("\\", "/") for name in filelist.files} == kept
