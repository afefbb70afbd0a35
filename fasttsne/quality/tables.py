"""Records of this package as text, and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def as_text(headline: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a headline, a blank line and rows of title, value and meaning in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{name:{widths[0]}}  {value:{widths[1]}}  {text}" for name, value, text in rows]
    return "\n".join([headline, "", *lines])


def as_html(headline: str, rows: Sequence[Sequence[str]]) -> str:
    """Return the same as a table of HTML; every text is escaped."""
    body = ""
    for row in rows:
        cells = [f"<td style='text-align: left'>{escape(cell)}</td>" for cell in row]
        body += f"<tr>{''.join(cells)}</tr>"
    return f"<table><caption>{escape(headline)}</caption><tbody>{body}</tbody></table>"


def counted(n_samples: int, n_judged: int) -> str:
    """Return the number of points for a headline, and how many of them were judged if not all."""
    judged = "" if n_judged == n_samples else f", {n_judged:,} of them judged"
    return f"{n_samples:,} points{judged}"
