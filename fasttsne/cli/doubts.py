"""What makes one wonder whether columns of a table are meant to be mapped as they are."""

from __future__ import annotations

import numpy as np

from fasttsne.cli.read import Table

_ENOUGH_ROWS = 10  # fewer integers may well be in order by chance
_APART = 100.0  # deviations of two orders of magnitude


def doubts(table: Table, *, chosen: bool, scaled: bool) -> list[str]:
    """Look for columns that count rows, and for some that outweigh others.

    Parameters
    ----------
    table : Table
        What is mapped.

    chosen : bool
        Whether its columns were named by the user, who then means them.

    scaled : bool
        Whether they are brought to one scale.

    Returns
    -------
    notes : list of str
        Each with a remedy; none for tables without names.
    """
    if not table.names:
        return []
    notes = []
    if not chosen and len(table.X) >= _ENOUGH_ROWS:
        notes += [
            f"column {name!r} only counts upwards, as identifiers do; --drop {name!r} leaves it out"
            for name, column in zip(table.names, table.X.T, strict=True)
            if (np.diff(column) > 0).all() and (column == np.round(column)).all()
        ]
    if not scaled:
        deviation = table.X.std(axis=0)
        varying = np.flatnonzero(deviation)
        order = varying[np.argsort(deviation[varying], kind="stable")]
        if len(order) > 1:
            # The least may be an exception; what outweighs a quarter of the columns is none.
            small, large = order[(len(order) - 1) // 4], order[-1]
            ratio = deviation[large] / deviation[small]
            if ratio >= _APART:
                notes.append(
                    f"column {table.names[large]!r} varies {ratio:,.0f} times as much as "
                    f"{table.names[small]!r}; --standardize gives all columns the same weight"
                )
    return notes
