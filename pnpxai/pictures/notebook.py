"""Writes texts and tables as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["lines_html", "table_html"]


def lines_html(text: str) -> str:
    """Return a text whose columns stand below each other."""
    return f"<pre>{escape(text)}</pre>"


def table_html(before: Iterable[str], table: pd.DataFrame, after: Iterable[str] = ()) -> str:
    """Return a table between paragraphs; empty paragraphs are left out."""
    above, below = ("".join(f"<p>{escape(text)}</p>" for text in texts if text) for texts in (before, after))
    return above + table.to_html(index=False, justify="left") + below
