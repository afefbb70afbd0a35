"""Check that a tag and files to publish belong together: python .ci/check_release.py TAG DIRECTORY.

The tag is v<version>, CHANGELOG.md has the date of the version, and the directory has one sdist and
a wheel for every platform and Python, all of this version.
"""

import re
import sys
import tomllib
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLATFORMS = (
    "manylinux.*_x86_64",
    "manylinux.*_aarch64",
    "musllinux.*_x86_64",
    "musllinux.*_aarch64",
    "macosx_.*_arm64",
    "macosx_.*_x86_64",
    "win_amd64",
)


def faults(tag, directory, changelog=None):
    """Return what is wrong, one sentence each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version, name = project["version"], project["name"]
    changelog = changelog or (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    files = sorted(path.name for path in Path(directory).iterdir())
    if tag != f"v{version}":
        yield f"the tag is {tag}, and the version {version}: expected v{version}"
    if not re.search(rf"^## \[{re.escape(version)}\] – \d{{4}}-\d\d-\d\d$", changelog, re.M):
        yield f"CHANGELOG.md has no heading '## [{version}] – YYYY-MM-DD'"
    for file in files:
        if file != f"{name}-{version}.tar.gz" and not re.match(
            rf"{name}-{re.escape(version)}-cp.+\.whl$", file
        ):
            yield f"{file} is no sdist and no wheel of {name} {version}"
    if f"{name}-{version}.tar.gz" not in files:
        yield "there is no sdist"
    pythons = re.findall(r":: 3\.(\d+)", " ".join(project["classifiers"]))
    for python, platform in product(pythons, PLATFORMS):
        if not any(
            re.search(rf"-cp3{python}-cp3{python}-{platform}\.whl$", file) for file in files
        ):
            yield f"there is no wheel for Python 3.{python} and {platform.replace('.*', '*')}"


if __name__ == "__main__":
    found = list(faults(*sys.argv[1:3]))
    print(*(found or ["The tag and the files belong together."]), sep="\n")
    sys.exit(bool(found))
