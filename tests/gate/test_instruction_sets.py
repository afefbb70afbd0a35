"""The names of instruction sets."""

import platform

import pytest
from fits import run_python

from fasttsne import _kernels


def test_baseline_selects_the_first_on_every_processor(isa):
    _kernels.select_isa("baseline")
    assert _kernels.current_isa() == _kernels.available_isas()[0]


def test_the_first_is_called_neon_on_aarch64():
    aarch64 = platform.machine().lower() in ("aarch64", "arm64")
    assert _kernels.available_isas()[0] == ("neon" if aarch64 else "baseline")


def test_an_unknown_one_is_named_with_those_that_are_there():
    with pytest.raises(ValueError, match="'mmx' is not one of"):
        _kernels.select_isa("mmx")


def test_the_environment_selects_one_at_import():
    code = "from fasttsne import _kernels; print(_kernels.current_isa())"
    first = _kernels.available_isas()[0]
    assert run_python(code, FASTTSNE_ISA="baseline") == f"{first}\n"
