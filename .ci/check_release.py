"""Check that a tag and files to publish belong together: python .ci/check_release.py TAG DIRECTORY.

The tag is v<version>, CHANGELOG.md has the date of the version, and the directory has one sdist and
every wheel that [tool.cibuildwheel] builds, all of this version.
"""

import re
import sys
import tomllib
from fnmatch import fnmatch
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
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, wheels = settings["project"], settings["tool"]["cibuildwheel"]
    version, name = project["version"], project["name"]
    changelog = changelog or (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    files = sorted(path.name for path in Path(directory).iterdir())
    if tag != f"v{version}":
        yield f"the tag is {tag}, and the version {version}: expected v{version}"
    if not re.search(rf"^## \[{re.escape(version)}\] – \d{{4}}-\d\d-\d\d$", changelog, re.M):
        yield f"CHANGELOG.md has no heading '## [{version}] – YYYY-MM-DD'"
    expected = {"the sdist": rf"{name}-{re.escape(version)}\.tar\.gz"}
    for build, platform in product(wheels["build"].split(), PLATFORMS):
        abi = build.removesuffix("-*")  # cp314, or cp314t for free-threaded Python
        if not fnmatch(f"{abi}-{platform}", wheels["skip"]):
            wheel = rf"{name}-{re.escape(version)}-{abi.rstrip('t')}-{abi}-{platform}\.whl"
            expected[f"the wheel of {abi} for {platform.replace('.*', '*')}"] = wheel
    for what, pattern in expected.items():
        if not any(re.fullmatch(pattern, file) for file in files):
            yield f"{what} is missing"
    for file in files:
        if not any(re.fullmatch(pattern, file) for pattern in expected.values()):
            yield f"{file} is no part of {name} {version}"


if __name__ == "__main__":
    found = list(faults(*sys.argv[1:3]))
    print(*(found or ["The tag and the files belong together."]), sep="\n")
    sys.exit(bool(found))
