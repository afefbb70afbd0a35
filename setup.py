"""The extension module: sources, flags and the OpenMP probe. All else is in pyproject.toml.

Environment variables read at build time:

FASTTSNE_NO_OPENMP=1
    Build for one thread, even where the compiler has OpenMP.
FASTTSNE_SANITIZE=address,undefined
    Build with these sanitizers, for tests.
"""

import os
import sys
import tempfile
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

# -std=c11 alone turns fused multiply-add off; -ffp-contract=fast turns it on again.
# The two -fno- flags let the compiler vectorise square roots and comparisons.
# Never -ffast-math: it drops the checks for NaN and infinity and reorders the sums
# whose order makes results independent of the number of threads. Never
# -march=native: the kernels hold variants for several CPUs and choose at run time.
GCC_FLAGS = [
    "-std=c11",
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
]
MSVC_FLAGS = ["/O2", "/std:c11"]

OPENMP_PROBE = """\
#include <omp.h>
int main(void) {
    int i, threads = 0;
    #pragma omp parallel for reduction(+:threads)
    for (i = 0; i < 4; i++) threads += omp_get_num_threads();
    return threads == 0;
}
"""


class BuildExt(build_ext):
    """Choose the flags once the compiler is known."""

    def finalize_options(self):
        super().finalize_options()
        self.force = True  # flags depend on the environment, which time stamps do not show
        self.cython_c_in_temp = True  # keep the generated C out of the source tree

    def build_extensions(self):
        compile_flags, link_flags = self.flags()
        for extension in self.extensions:
            extension.extra_compile_args = compile_flags
            extension.extra_link_args = link_flags
        super().build_extensions()

    def flags(self):
        msvc = self.compiler.compiler_type == "msvc"
        compile_flags = list(MSVC_FLAGS if msvc else GCC_FLAGS)
        # pthread_atfork is a library of its own in older glibc.
        link_flags = [] if msvc or sys.platform == "darwin" else ["-pthread"]

        openmp = self.openmp_flags(msvc)
        if openmp is not None:
            compile_flags += openmp[0]
            link_flags += openmp[1]
        elif not msvc:
            compile_flags.append("-fopenmp-simd")  # `omp simd` needs no run-time library

        sanitizers = os.environ.get("FASTTSNE_SANITIZE")
        if sanitizers:
            compile_flags += ["-O1", "-g", "-fno-omit-frame-pointer"]
            compile_flags += [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=undefined"]
            link_flags += [f"-fsanitize={sanitizers}"]
        return compile_flags, link_flags

    def openmp_flags(self, msvc):
        """The first (compile, link) flags with which an OpenMP program builds, or None."""
        if os.environ.get("FASTTSNE_NO_OPENMP", "0") not in ("", "0"):
            notice("FASTTSNE_NO_OPENMP is set: building for one thread.")
            return None
        if msvc:
            candidates = [(["/openmp"], [])]
        elif sys.platform == "darwin":
            # GCC or LLVM's clang first, then Apple's clang with libomp beside it.
            candidates = [
                (["-fopenmp"], ["-fopenmp"]),
                (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),
            ]
        else:
            candidates = [(["-fopenmp"], ["-fopenmp"])]
        for candidate in candidates:
            if self.builds(OPENMP_PROBE, *candidate):
                notice(f"OpenMP found ({' '.join(candidate[0])}): building for many threads.")
                return candidate
        notice(
            "NO OPENMP: the compiler cannot build an OpenMP program, so fasttsne will run on one\n"
            "thread. Install OpenMP (libgomp for GCC, libomp for clang) and build again."
        )
        return None

    def builds(self, program, compile_flags, link_flags):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program)
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=compile_flags
                )
                self.compiler.link_executable(
                    objects, "probe", output_dir=folder, extra_postargs=link_flags
                )
            except (CompileError, LinkError):
                return False
        return True


def notice(message):
    print(f"\n*** fasttsne: {message}\n", file=sys.stderr, flush=True)


setup(
    ext_modules=[
        Extension(
            "fasttsne._kernels",
            sources=["fasttsne/gate/_kernels.pyx", *sorted(glob("fasttsne/src/*.c"))],
            depends=sorted(glob("fasttsne/gate/*.pxi") + glob("fasttsne/src/*.h")),
            include_dirs=["fasttsne/src"],
        )
    ],
    cmdclass={"build_ext": BuildExt},
)
