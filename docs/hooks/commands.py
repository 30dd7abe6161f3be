"""Writes the commands and their options on the page of the command line, from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from pnpxai.cli.commands import app

_MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark (called by MkDocs)."""
    return markdown.replace(_MARK, "\n".join(_sections())) if _MARK in markdown else markdown


def _sections() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    takers: dict[tuple[str, str], list[str]] = {}
    yield from ("| command | does |", "|---|---|")
    for name, command in group.commands.items():
        yield f"| `pnpxai {name}` | {command.help} |"
        for option in command.params:
            takers.setdefault((_spelled(option), _meaning(option.help or "")), []).append(name)
    yield from ("", "| option | of | means |", "|---|---|---|")
    for (spelled, meaning), names in takers.items():
        others = [name for name in group.commands if name not in names]
        most = "all" if not others else f"all but {', '.join(others)}"
        yield f"| {spelled} | {most if len(others) < 3 else ', '.join(names)} | {meaning} |"


def _spelled(option: Any) -> str:
    if option.param_type_name == "argument":
        return f"`{option.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts] if name.startswith("-"))
    return f"{names} {option.metavar or ''}".strip().replace("|", r"\|")


def _meaning(text: str) -> str:
    """Return an option's help with what is code marked as such."""
    text = text.replace("|", r"\|")
    return re.sub(r"(?<![\w`])('\{.*?\}'|\w+\.py:\w+|module:attribute|--[a-z-]+|file\.py)(?![\w`])", r"`\1`", text)
