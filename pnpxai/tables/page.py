"""Writes the summary of a table, with its pictures, as one HTML file."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from pnpxai.errors import ArgumentError
from pnpxai.files import write_file

if TYPE_CHECKING:
    from pnpxai.tables.summary import TableSummary

__all__ = ["write_page"]

_STYLE = "body { font-family: sans-serif; max-width: 60rem; margin: 1rem auto } img { max-width: 100% }"


def write_page(summary: TableSummary, path: Path) -> Path:
    """Write the numbers and all pictures of a summary into a file, complete or not at all; return its path.

    Raises:
        ArgumentError: the path is a folder.
    """
    if path.is_dir():
        raise ArgumentError(f"path: expected a file such as {path / 'summary.html'}, got the folder {path}")
    lines = ["<!DOCTYPE html>", '<meta charset="utf-8">', f"<title>{escape(summary.explainer)}</title>"]
    lines += [f"<style>{_STYLE}</style>", f"<pre>{escape(repr(summary))}</pre>"]
    for style in ("bars", "beeswarm", "dependence", "cohorts", "heat map"):
        lines.append(f"<p>{summary.plot(style).as_html(f'{style} of {summary.explainer}')}</p>")
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_file(path, lambda file: file.write_text("\n".join(lines), encoding="utf-8", newline="\n"))
