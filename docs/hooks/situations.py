"""Writes the table of situations on the page of promises, from the tests that hold each of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MARK = "<!-- situations -->"
_ROOMS = {"models": "Models", "rules": "Rules of relevance and differences", "attributors": "captum's interface"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark (called by MkDocs)."""
    return markdown.replace(_MARK, "\n".join(rows())) if _MARK in markdown else markdown


def rows() -> Iterator[str]:
    """Yield the lines of the tables."""
    sys.path.insert(0, str(Path(__file__).parents[2]))  # the situations stand beside their tests
    from tests.situations import SITUATIONS

    for room, heading in _ROOMS.items():
        yield from (f"### {heading}", "", "| situation | result | what happens |", "|---|---|---|")
        for one in SITUATIONS:
            if one.room == room:
                yield f"| {one.text} | {one.outcome} | {one.words} |"
        yield ""
