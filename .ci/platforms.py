"""Compile and link the extension for every platform that has wheels, run kernels, print a table.

    python .ci/platforms.py FOLDER [TARGET...]

Needs Linux, and the packages ziglang (a clang with the headers and libraries of all platforms),
Cython and scipy. Works in FOLDER. Fails at the first warning. TARGET is one of the names for zig
in TARGETS below; without it, all are compiled, and kernels.c is run for x86-64, for AArch64 where
qemu-user-static is installed and for Windows where Wine is; it prints a sum per instruction set,
which is the same everywhere.

All C is compiled with -O1: what CI looks for are warnings and headers, not speed.

Python's headers are this interpreter's, for every platform. They differ in pyconfig.h alone. Linux
and macOS have the C types of this machine, so they get its pyconfig.h; it may promise functions of
the C library that only Python itself uses. Windows gets the macros below, as in PC/pyconfig.h
for MinGW. The import library for Windows has the names that the extension uses, so linking
shows that nothing else is missing, and not that Python has these names there.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TARGETS = {
    "Linux x86-64, glibc 2.17": "x86_64-linux-gnu.2.17",
    "Linux x86-64, musl": "x86_64-linux-musl",
    "Linux AArch64, glibc 2.17": "aarch64-linux-gnu.2.17",
    "Linux AArch64, musl": "aarch64-linux-musl",
    "macOS arm64": "aarch64-macos",
    "macOS x86-64": "x86_64-macos",
    "Windows x86-64": "x86_64-windows-gnu",
}

# What runs a program here, where it is installed.
RUNNERS = {
    "x86_64-linux-gnu.2.17": [],
    "x86_64-linux-musl": [],
    "aarch64-linux-musl": ["qemu-aarch64-static"],
    "x86_64-windows-gnu": ["wine"],
}

FLAGS = [
    *("-std=c11", "-O1", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
    *("-fopenmp-simd", "-fvisibility=hidden", "-DNDEBUG", "-fPIC", "-Wall", "-Wextra", "-Werror"),
]
# As in .ci/run. Clang objects to an `omp simd` loop that it leaves scalar.
STRICT = ["-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wno-pass-failed"]

WINDOWS_PYCONFIG = """
#define MS_WINDOWS 1
#define MS_WIN32 1
#define MS_WIN64 1
#define HAVE_DECLSPEC_DLL 1
#define Py_ENABLE_SHARED 1
#define NT_THREADS 1
#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_FLOAT 4
#define SIZEOF_DOUBLE 8
#define SIZEOF_VOID_P 8
#define SIZEOF_SIZE_T 8
#define SIZEOF_WCHAR_T 2
#define SIZEOF_OFF_T 4
#define SIZEOF_PID_T 4
#define SIZEOF_TIME_T 8
#define SIZEOF_FPOS_T 8
#define SIZEOF_UINTPTR_T 8
#define SIZEOF__BOOL 1
#define ALIGNOF_SIZE_T 8
#define ALIGNOF_LONG 4
#define ALIGNOF_MAX_ALIGN_T 8
"""


def run(*command):
    """Run a command and return its output; print the output and stop if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def zig(*arguments):
    return run(sys.executable, "-m", "ziglang", *arguments)


def python_headers(folder, windows):
    headers = folder / ("include-windows" if windows else "include")
    shutil.copytree(sysconfig.get_path("include"), headers)
    if windows:
        (headers / "pyconfig.h").write_text(WINDOWS_PYCONFIG)
    return headers


def windows_python(objects, folder):
    """Write an import library with the names of Python that the objects use."""
    undefined = {
        line.split()[-1].removeprefix("__imp_")
        for line in run("nm", "-u", *objects).splitlines()
        if " U " in line
    }
    names = sorted(name for name in undefined if name.startswith(("Py", "_Py")))
    definition = folder / "python.def"
    definition.write_text("\n".join(["LIBRARY python3.dll", "EXPORTS", *names]) + "\n")
    library = folder / "libpython.a"
    zig("dlltool", "-m", "i386:x86-64", "-d", definition, "-l", library)
    return library


def build(target, generated, headers, folder, pool):
    """Compile all and link; return the number of files compiled and the library's size."""
    folder.mkdir()

    def compile_source(source):
        own = source != generated
        result = folder / f"{source.stem}.o"
        paths = ["-Ifasttsne/src"] if own else ["-Ifasttsne/src", f"-I{headers}"]
        strict = STRICT if own else []
        zig("cc", "-target", target, *FLAGS, *strict, *paths, "-c", source, "-o", result)
        return result

    # The longest first.
    sources = sorted(Path("fasttsne/src").glob("*.c"), key=lambda path: -path.stat().st_size)
    objects = list(pool.map(compile_source, [generated, *sources]))
    if "windows" in target:
        library, further = "_kernels.pyd", [windows_python(objects, folder)]
    elif "macos" in target:
        library, further = "_kernels.so", ["-undefined", "dynamic_lookup"]
    else:
        library, further = "_kernels.so", ["-lm", "-lpthread"]
    zig("cc", "-target", target, "-shared", "-s", *objects, *further, "-o", folder / library)
    return len(objects), (folder / library).stat().st_size


def run_kernels(target, folder):
    """Run kernels.c if the target can run here, and return the sums that it prints."""
    objects = sorted({*folder.glob("*.o")} - {folder / "_kernels.o"})
    runner = RUNNERS.get(target)
    if runner is None or not all(map(shutil.which, runner)):
        return "no"
    program = folder / "kernels.exe"
    source = Path(".ci/kernels.c")
    zig("cc", "-target", target, *FLAGS, *STRICT, "-Ifasttsne/src", source, *objects, "-o", program)
    return run(*runner, program)


def main():
    wanted = sys.argv[2:] or [*TARGETS.values()]
    unknown = {*wanted} - {*TARGETS.values()}
    if unknown:
        sys.exit(f"unknown targets: {', '.join(sorted(unknown))}")
    folder = Path(sys.argv[1]).absolute()
    os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = str(folder / "cache")
    os.environ["WINEPREFIX"] = str(folder / "wine")
    os.chdir(Path(__file__).parents[1])
    generated = folder / "_kernels.c"
    run(sys.executable, "-m", "cython", "fasttsne/gate/_kernels.pyx", "-o", generated)
    headers = {windows: python_headers(folder, windows) for windows in (False, True)}
    print(f"| platform | compiled without a warning | linked | run: sum_q |\n|{'---|' * 4}")
    with ThreadPoolExecutor(2) as pool:
        for name, target in TARGETS.items():
            if target not in wanted:
                continue
            n_files, size = build(
                target, generated, headers["windows" in target], folder / target, pool
            )
            # A program needs the whole C library, which zig compiles for minutes.
            sums = "no" if sys.argv[2:] else run_kernels(target, folder / target)
            print(f"| {name} | {n_files} files | {size / 1e6:.1f} MB | {sums} |", flush=True)


if __name__ == "__main__":
    main()
