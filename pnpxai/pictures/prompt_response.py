"""A prompt beside its response: whoever points at a word of the response sees its sources in the prompt light up."""

from __future__ import annotations

import html
import itertools
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pnpxai.pictures.colours import LEVELS, colour_of, palette
from pnpxai.pictures.words import dark, one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.text import Text

__all__ = ["PromptResponseView", "prompt_response_figure", "prompt_response_html", "prompt_response_text"]

Span: TypeAlias = tuple[int, int]
_NAME = 28
"""Most characters of a unit's name in a table or at an axis."""
_MOST_CELLS = 4000
_RUN = re.compile(r"(<[^<>\s]{1,40}>)\1{2,}")
_numbers = itertools.count()


@dataclass(frozen=True, eq=False)
class PromptResponseView:
    """What is drawn.

    Attributes:
        prompt: the text that the model read.
        units: the characters of each unit of the prompt.
        unit_names: what they are called.
        turns: of a chat: who speaks, and the characters of what is said.
        response: the text that it wrote.
        parts: the characters of each unit of the response.
        part_names: what they are called.
        grids: of pictures and sounds beside the prompt: a picture (data: address or empty), rows and columns of cells,
            and the place of the first of them among the unit names, which have those of cells after those of the text.
        values: (parts, units) attributions; columns beyond the prompt's units belong to earlier parts of the response.
        title: the heading.
        scale: what the values measure.
        notes: what must be read first.
    """

    prompt: str
    units: tuple[Span, ...]
    unit_names: tuple[str, ...]
    turns: tuple[tuple[str, Span], ...]
    response: str
    parts: tuple[Span, ...]
    part_names: tuple[str, ...]
    values: np.ndarray
    title: str = ""
    scale: str = ""
    notes: tuple[str, ...] = ()
    grids: tuple[tuple[str, int, int, int], ...] = ()


def prompt_response_html(view: PromptResponseView) -> str:
    """Return one piece of HTML with its style and script inside; it needs no network."""
    number = next(_numbers)
    values = np.nan_to_num(np.asarray(view.values, float))
    data = {
        "values": [[float(f"{v:.4g}") for v in row] for row in values],
        "colours": [bytes(c[:3]).hex() for c in palette()],
        "inks": ["#fff" if dark(c) else "#000" for c in palette()],
        "units": list(view.unit_names) + list(view.part_names),
        "parts": list(view.part_names),
    }
    table = ""
    if values.size <= _MOST_CELLS:
        table = f"<details><summary>All values</summary><div class='pnx-scroll'>{_table(view, values)}</div></details>"
    notes = "".join(f"<p class='pnx-note'>{html.escape(note)}</p>" for note in view.notes)
    bar = ",".join(f"#{bytes(palette()[k][:3]).hex()}" for k in range(0, LEVELS, LEVELS // 16))
    written = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    return (
        f"<div class='pnx' id='pnx-{_digest(written)}-{number}'><style>{_asset('prompt_response.css')}</style>"
        f"<p class='pnx-title'>{html.escape(view.title)}</p>{notes}"
        f"<div class='pnx-legend'><span class='pnx-low'></span>"
        f"<span class='pnx-bar' style='background:linear-gradient(90deg,{bar})'></span><span class='pnx-high'></span>"
        f"<span>{html.escape(view.scale)}</span></div>"
        f"<div class='pnx-prompt' aria-label='prompt'>{_prompt(view)}{_grids(view)}</div>"
        f"<div class='pnx-response' aria-label='response'><span class='pnx-role'>response</span>{_response(view)}</div>"
        "<p class='pnx-status' aria-live='polite'></p>"
        "<p class='pnx-help'>Point at a part of the response to see its sources, or walk with the arrow keys; click "
        "or Enter holds it, Escape shows all again. Point at the prompt to see what it served.</p>"
        f"{table}<script type='application/json'>{written}</script>"
        f"<script>{_asset('prompt_response.js')}</script></div>"
    )


def prompt_response_text(view: PromptResponseView, row: np.ndarray) -> Text:
    """Return the prompt on the colours of one row of values (units,), and the response, for a terminal."""
    from rich.text import Text

    limit = float(np.abs(row).max(initial=0)) or 1.0
    found, cursor, starts = Text(), 0, {span[0]: role for role, span in view.turns}
    for k, (start, end) in sorted(enumerate(view.units), key=lambda item: item[1]):
        _append_held(found, view.prompt, cursor, start, starts)
        colour = colour_of(float(row[k]) / limit)
        style = f"{'white' if dark(colour) else 'black'} on #{bytes(colour[:3]).hex()}"
        start = max(start, cursor)
        lead = len(view.prompt[start:end]) - len(view.prompt[start:end].lstrip())
        found.append(view.prompt[start : start + lead])
        found.append(view.prompt[start + lead : end], style)
        cursor = max(cursor, end)
    _append_held(found, view.prompt, cursor, len(view.prompt), starts)
    for k in range(len(view.units), len(view.unit_names)):
        colour = colour_of(float(row[k]) / limit)
        found.append("\n" if k == len(view.units) else " ")
        found.append(view.unit_names[k], f"{'white' if dark(colour) else 'black'} on #{bytes(colour[:3]).hex()}")
    found.append("\n=> ", "bold")
    found.append(view.response, "bold")
    return found


def prompt_response_figure(view: PromptResponseView) -> Figure:
    """Return a matplotlib figure: one row for each part of the response, one column for each unit."""
    from matplotlib.figure import Figure

    values = np.nan_to_num(np.asarray(view.values, float))
    columns = [*view.unit_names, *view.part_names][: values.shape[1]]
    figure = Figure(figsize=(min(40, max(5, 0.4 * values.shape[1] + 2)), min(40, max(2.5, 0.3 * len(values) + 2))))
    axes = figure.add_subplot()
    limit = float(np.abs(values).max(initial=0)) or 1.0
    image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(columns)), [one_line(name, _NAME) for name in columns], rotation=60, ha="right")
    axes.set_yticks(range(len(values)), [one_line(name, _NAME) for name in view.part_names])
    axes.set_xlabel("prompt")
    axes.set_ylabel("response")
    axes.set_title(view.title, fontsize=10)
    figure.colorbar(image, ax=axes, label=view.scale)
    figure.tight_layout()
    return figure


def _append_held(text: Text, prompt: str, start: int, end: int, turns: dict[int, str]) -> None:
    """Append what is held, with the roles of the turns that begin in it or right after it."""
    for place in sorted(p for p in turns if start <= p <= end):
        text.append(_short(prompt[start:place]), "dim")
        text.append(f"[{turns.pop(place)}] ", "bold cyan")
        start = place
    text.append(_short(prompt[start:end]), "dim")


def _prompt(view: PromptResponseView) -> str:
    units = sorted(enumerate(view.units), key=lambda item: item[1])
    inside = view.turns or (("", (0, len(view.prompt))),)
    parts, cursor = [], 0
    for role, (start, end) in inside:
        parts.append(_held(view.prompt[cursor:start]))
        label = f"<span class='pnx-role'>{html.escape(role)}</span>" if role else ""
        parts.append(f"<div class='pnx-turn'>{label}")
        cursor = start
        for k, (a, b) in units:
            if start <= a and b <= end:
                a = max(a, cursor)  # several tokens may share a character
                text = view.prompt[a:b]
                lead = len(text) - len(text.lstrip())
                parts.append(_held(view.prompt[cursor:a]) + html.escape(text[:lead]))
                parts.append(f"<span class='pnx-unit' data-k='{k}'>{html.escape(text[lead:]) or '&nbsp;'}</span>")
                cursor = max(cursor, b)
        parts.append(_held(view.prompt[cursor:end]) + "</div>")
        cursor = end
    return "".join([*parts, _held(view.prompt[cursor:])])


def _held(text: str) -> str:
    return f"<span class='pnx-held'>{html.escape(_short(text))}</span>" if text else ""


def _short(text: str) -> str:
    """Return a text in which a placeholder that stands many times in a row, as those of pictures do, stands once."""
    return _RUN.sub(lambda run: f"{run[1]} \u00d7{len(run[0]) // len(run[1])}", text)


def _grids(view: PromptResponseView) -> str:
    """Return the pictures and sounds, each cell over its part."""
    parts = []
    for address, rows, columns, first in view.grids:
        shown = f"background-image:url({html.escape(address, quote=True)});" if address else ""
        shape = f"aspect-ratio:{columns}/{rows};" if rows > 1 else ""
        parts.append(f"<div class='pnx-grid' style='{shown}{shape}grid-template-columns:repeat({columns},1fr)'>")
        for k in range(first, first + rows * columns):
            name = html.escape(view.unit_names[k], quote=True)
            parts.append(f"<span class='pnx-unit pnx-cell' data-k='{k}' role='img' aria-label='{name}'></span>")
        parts.append("</div>")
    return "".join(parts)


def _response(view: PromptResponseView) -> str:
    parts, cursor = [], 0
    for k, (start, end) in enumerate(view.parts):
        text = view.response[start:end]
        lead = len(text) - len(text.lstrip(" "))
        parts.append(_held(view.response[cursor:start]) + html.escape(text[:lead]))
        shown = html.escape(text[lead:]).replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}\n") or "&nbsp;"
        tab = 0 if k == 0 else -1
        parts.append(f"<span class='pnx-part' role='button' tabindex='{tab}' data-r='{k}'>{shown}</span>")
        cursor = max(cursor, end)
    return "".join([*parts, _held(view.response[cursor:])])


def _table(view: PromptResponseView, values: np.ndarray) -> str:
    columns = [*view.unit_names, *view.part_names][: values.shape[1]]
    limit = float(np.abs(values).max(initial=0)) or 1.0
    head = "".join(f"<th scope='col'>{html.escape(one_line(name, _NAME))}</th>" for name in columns)
    rows = []
    for name, row in zip(view.part_names, values, strict=True):
        cells = []
        for value in row:
            colour = colour_of(float(value) / limit)
            ink = "#fff" if dark(colour) else "#000"
            cells.append(f"<td style='background:#{bytes(colour[:3]).hex()};color:{ink}'>{value:.2g}</td>")
        rows.append(f"<tr><th scope='row'>{html.escape(one_line(name, _NAME))}</th>{''.join(cells)}</tr>")
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:10]


@cache
def _asset(name: str) -> str:
    return files("pnpxai.pictures").joinpath(name).read_text(encoding="utf-8")
