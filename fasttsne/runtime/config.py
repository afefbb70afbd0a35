"""What the installed package runs on: instruction set, threads, BLAS."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any, Literal, overload

from threadpoolctl import threadpool_info

from fasttsne import _kernels
from fasttsne.runtime.threads import effective_n_threads


@overload
def show_config(mode: Literal["stdout"] = ...) -> None: ...


@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Print or return the instruction set, the number of threads and the BLAS in use.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default="stdout"
        Print the configuration or return it.

    Returns
    -------
    config : dict or None
        With ``mode="dicts"``: `versions`, `machine`, `instruction_set` (in use), `instruction_sets`
        (those that both this binary and the processor have), `threads` (for ``n_jobs=None``) and
        `blas` (one description per loaded library).

    Raises
    ------
    ValueError
        If `mode` is another string.

    Notes
    -----
    The environment variable ``FASTTSNE_ISA``, read at import, forces an instruction set:
    ``baseline``, ``avx2`` or ``avx512`` on x86-64; on AArch64 there is ``neon`` alone, which
    ``baseline`` selects as well. ``OMP_NUM_THREADS`` limits the threads.

    Examples
    --------
    >>> import fasttsne
    >>> config = fasttsne.show_config(mode="dicts")
    >>> config["instruction_set"] in config["instruction_sets"]
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {mode!r}")
    blas = [
        f"{library['internal_api']} {library['version']}, {library['num_threads']} threads"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    packages = ("fasttsne", "numpy", "scipy", "scikit-learn")
    config: dict[str, Any] = {
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
        "machine": platform.machine(),
        "instruction_set": _kernels.current_isa(),
        "instruction_sets": list(_kernels.available_isas()),
        "threads": effective_n_threads(None),
        "blas": blas,
    }
    if mode == "dicts":
        return config
    versions = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    print(f"versions         {versions}")
    print(f"machine          {config['machine']}")
    print(
        f"instruction set  {config['instruction_set']}"
        f" (available: {', '.join(config['instruction_sets'])})"
    )
    print(f"threads          {config['threads']}")
    print(f"BLAS             {'; '.join(blas) or 'unknown'}")
    return None
