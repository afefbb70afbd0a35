"""The extension module, and the page on the package index. All else is in pyproject.toml.

Environment variable read at build time:

FASTTSNE_SANITIZE=address,undefined
    Build with these sanitizers, for tests.
"""

import gzip
import os
import re
import shutil
import sys
import tarfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

# No symbols for debuggers: CFLAGS of some Pythons ask for them, and they are four fifths of the
# file and a quarter of the time to compile.
# -std=c11 alone turns fused multiply-add off; -ffp-contract=fast turns it on again.
# The two -fno- flags let the compiler vectorise square roots and comparisons.
# -fopenmp-simd is for `omp simd`; it needs no run-time library.
# Never -ffast-math: it drops the checks for NaN and infinity and reorders the sums
# whose order makes results independent of the number of threads. Never
# -march=native: the kernels hold variants for several CPUs and choose at run time.
FLAGS = [
    "-std=c11",
    "-O3",
    "-g0",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp-simd",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
]


class BuildExt(build_ext):
    """Use Zig on Windows, and compile several sources at once."""

    def finalize_options(self):
        # MSVC has no variants of a function for several CPUs. Zig is clang for MinGW, in a package.
        # Without a target it would compile for this machine's CPU.
        if sys.platform == "win32":
            self.compiler = "mingw32"
            python = Path(sys.executable).as_posix()
            os.environ.setdefault("CC", f'"{python}" -m ziglang cc -target x86_64-windows-gnu')
        super().finalize_options()
        self.force = True  # flags depend on the environment, which time stamps do not show
        self.cython_c_in_temp = True  # keep the generated C out of the source tree

    def build_extensions(self):
        compiler = self.compiler.compiler_so[0]
        if shutil.which(compiler) is None:
            raise SystemExit(
                f"error: the C compiler {compiler!r} is not found. Install GCC or clang, for "
                "example by `apt install gcc` or `xcode-select --install`, or name one in the "
                "environment variable CC, a path with spaces in quotation marks. Wheels of "
                "fasttsne need none."
            )
        self.compiler.compile = in_parallel(self.compiler.compile)
        super().build_extensions()


class SDist(sdist):
    """Write the same bytes for the same files: in order, with fixed times, modes and owners."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        time = int(os.environ.get("SOURCE_DATE_EPOCH", 315532800))  # 1980 is the first year of zip
        name = f"{base_name}.tar.gz"
        self.mkpath(os.path.dirname(name))
        with (
            open(name, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=time) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in sorted(path for path in Path(base_dir).rglob("*") if path.is_file()):
                entry = tarfile.TarInfo(path.as_posix())  # its owner is root
                entry.size, entry.mtime = path.stat().st_size, time
                entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                with path.open("rb") as content:
                    archive.addfile(entry, content)
        return name


def flags():
    """Return the flags of the compiler and of the linker."""
    compile_flags = list(FLAGS)
    # Threads are a separate library in older glibc.
    link_flags = ["-pthread"] if sys.platform == "linux" else []
    sanitizers = os.environ.get("FASTTSNE_SANITIZE")
    if sanitizers:
        compile_flags += ["-O1", "-g1", "-fno-omit-frame-pointer"]
        compile_flags += [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=undefined"]
        link_flags.append(f"-fsanitize={sanitizers}")
    return compile_flags, link_flags


def in_parallel(compile_in_turn):
    """Return a `Compiler.compile` that compiles several sources at once."""

    def compile_sources(sources, **options):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = pool.map(lambda source: compile_in_turn([source], **options), sources)
            return [name for names in objects for name in names]

    return compile_sources


def long_description():
    """Return README.md with absolute links to this version's files in the repository.

    The package index shows the text alone, so relative links lead nowhere there.
    """
    here = Path(__file__).parent
    project = tomllib.loads((here / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository, tag = project["urls"]["Repository"], f"v{project['version']}"

    def absolute(link):
        image, text, target = link.groups()
        if target.startswith("#"):
            return f"{text}({repository}/tree/{tag}{target})"
        return f"{image}{text}({repository}/{'raw' if image else 'blob'}/{tag}/{target})"

    readme = (here / "README.md").read_text(encoding="utf-8")
    return re.sub(r"(!?)(\[[^]]*\])\((?!https://)([^)]+)\)", absolute, readme)


compile_flags, link_flags = flags()
setup(
    long_description=long_description(),
    long_description_content_type="text/markdown",
    ext_modules=[
        Extension(
            "fasttsne._kernels",
            sources=["fasttsne/gate/_kernels.pyx", *sorted(glob("fasttsne/src/*.c"))],
            depends=sorted(glob("fasttsne/gate/*.pxi") + glob("fasttsne/src/*.h")),
            include_dirs=["fasttsne/src"],
            extra_compile_args=compile_flags,
            extra_link_args=link_flags,
        )
    ],
    cmdclass={"build_ext": BuildExt, "sdist": SDist},
)
