# The instruction set.

cdef extern from "port.h":
    const bint FT_NEON

# Every AArch64 CPU has NEON, so that kernels have one variant there.
_ISA_NAMES = ("neon",) if FT_NEON else ("baseline", "avx2", "avx512")

ft_parallel_init()


def available_isas():
    """Return the instruction sets that this binary has and this processor runs, the best last."""
    return _ISA_NAMES[: <int> ft_parallel_best_isa() + 1]


def current_isa():
    """Return the instruction set that the kernels use."""
    return _ISA_NAMES[<int> ft_parallel_isa()]


def select_isa(name):
    """Make the kernels use one of `available_isas()`; "baseline" is the first of them."""
    if name == "baseline":
        name = _ISA_NAMES[0]
    if name not in available_isas():
        raise ValueError(f"instruction set {name!r} is not one of {available_isas()}")
    ft_parallel_select_isa(<ft_isa> <int> _ISA_NAMES.index(name))


if os.environ.get("FASTTSNE_ISA"):
    try:
        select_isa(os.environ["FASTTSNE_ISA"])
    except ValueError as error:
        raise ValueError(f"the environment variable FASTTSNE_ISA: {error}") from None
