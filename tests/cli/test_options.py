"""cli/options.py: names of columns, as --keep and other options list them."""

import pytest

from fasttsne.cli.messages import Refusal
from fasttsne.cli.options import chosen


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Sample, no", ["Sample, no"]),
        ('"Sample, no",b', ["Sample, no", "b"]),
        ("b,Sample, no", ["b", "Sample, no"]),
        ("depth - mm, b", [" depth - mm", "b"]),
        ("a:b", ["a:b"]),
        ("-x,b,b", ["-x", "b"]),
        (",b,", ["b"]),
        ('"q"', ['"q"']),
        ("b,x,y", ["b", "x", "y"]),
        ("x,y", ["x,y"]),
    ],
)
def test_columns_of_any_name_are_chosen(text, names):
    known = ["Sample, no", "b", " depth - mm", "a:b", "-x", '"q"', "x", "y", "x,y"]
    if names == ["b", "x", "y"]:
        known.remove("x,y")
    assert chosen([text], known, "x.csv") == names


def test_unknown_names_do_not_repeat_what_is_there():
    with pytest.raises(Refusal, match=r"no column 'zzz' in x\.csv; it has a, b$"):
        chosen(["zzz"], ["a"] * 5 + ["b"] * 5, "x.csv")
