"""The names of instruction sets."""

import platform
from pathlib import Path

import pytest
from fits import run_python

from fasttsne import _kernels


def test_baseline_selects_the_first_on_every_processor(isa):
    _kernels.select_isa("baseline")
    assert _kernels.current_isa() == _kernels.available_isas()[0]


def test_the_first_is_called_neon_on_aarch64():
    aarch64 = platform.machine().lower() in ("aarch64", "arm64")
    assert _kernels.available_isas()[0] == ("neon" if aarch64 else "baseline")


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists(), reason="Linux on x86-64"
)
def test_those_that_the_system_names_are_there():
    flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split())
    needed = {"avx2": {"avx2", "fma", "bmi1", "bmi2"}}
    needed["avx512"] = needed["avx2"] | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
    expected = [name for name, some in needed.items() if some <= flags]
    assert _kernels.available_isas() == ("baseline", *expected)


def test_an_unknown_one_is_named_with_those_that_are_there():
    with pytest.raises(ValueError, match="'mmx' is not one of"):
        _kernels.select_isa("mmx")


def test_the_environment_selects_one_at_import():
    code = "from fasttsne import _kernels; print(_kernels.current_isa())"
    first = _kernels.available_isas()[0]
    assert run_python(code, FASTTSNE_ISA="baseline") == f"{first}\n"
