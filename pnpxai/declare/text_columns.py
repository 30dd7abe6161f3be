"""Lays out text for a terminal of 80 columns: paragraphs, and tables in columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TypeAlias

__all__ = ["filled", "in_columns"]

_WIDTH, _CELL, _GAP = 80, 38, 2
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")  # where a long name of a class may be broken

Column: TypeAlias = list[list[str]]
"""Lines of each cell; the first cell is the head."""


def filled(text: str) -> str:
    """Return a paragraph in lines that fit; names are not broken."""
    return "\n".join(wrap(text, _WIDTH, break_on_hyphens=False, break_long_words=False))


def in_columns(table: Mapping[str, Sequence[object]]) -> str:
    """Return a table in lines that fit.

    Long cells continue on further lines. Columns without room come below the others, beside the first column again.

    Args:
        table: head -> the cells below it.
    """
    first, *others = (_column(str(head), cells) for head, cells in table.items())
    parts = [[first]]
    for column in others:
        taken = sum(_width(one) + _GAP for one in parts[-1])
        if len(parts[-1]) > 1 and taken + _width(column) > _WIDTH:
            parts.append([first])
        parts[-1].append(column)
    return "\n\n".join("\n".join(_lines(part)) for part in parts)


def _column(head: str, cells: Sequence[object]) -> Column:
    below = [_folded(str(cell), _CELL) for cell in cells]
    words = _HUMP.sub(" ", head)
    return [_folded(words, min(max([1, _width(below), *map(len, words.split())]), _CELL)), *below]


def _folded(text: str, width: int) -> list[str]:
    return wrap(text, width, break_on_hyphens=False) or [""]


def _width(column: Column) -> int:
    return max((len(line) for cell in column for line in cell), default=0)


def _lines(columns: Sequence[Column]) -> list[str]:
    """Return the lines of columns that stand side by side."""
    widths = [_width(column) for column in columns]
    lines = []
    for row in zip(*columns, strict=True):
        for k in range(max(map(len, row))):
            cells = (cell[k] if k < len(cell) else "" for cell in row)
            line = (" " * _GAP).join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
            lines.append(line.rstrip())
    return lines
