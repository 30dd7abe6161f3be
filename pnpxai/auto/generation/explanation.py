"""What a method says of a response: a value for each of its units and each unit of the prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from pnpxai.auto.generation.spans import Span
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.files import ReadJson, read_json, write_file, write_json
from pnpxai.pictures.prompt_response import (
    PromptResponseView,
    prompt_response_figure,
    prompt_response_html,
    prompt_response_text,
)
from pnpxai.pictures.words import one_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["ResponseExplanation", "ResponseExplanations"]

_LINE = 70
"""Most characters of a unit or a response on one line."""
_TENSORS = ("values", "scores", "gap", "held", "sinks", "base", "standard_error")


@dataclass(frozen=True, eq=False)
class ResponseExplanation:
    """Values of the units of a prompt for the units of a response.

    Attributes:
        values: (response units, units of the prompt); if earlier units of the response count, theirs follow.
        scores: (response units,) what is explained, with everything present.
        units: names of the units of the prompt, and of cells of pictures and sound beside it.
        response_units: names of the units of the response.
        method: the method with its settings.
        scale: what the values measure.
        prompt: the text that the model read.
        unit_spans: the characters of each unit of the prompt; cells of pictures and sound have none.
        turns: of a chat: who speaks, and the characters of what is said.
        response: the text that it wrote.
        response_spans: the characters of each unit of the response.
        gap: (response units,) how far the values are from the sum that the method promises; None without a promise.
        held: (response units,) what held tokens have; None where they have nothing.
        sinks: (response units,) relevance that rules kept; None without rules.
        base: (response units,) the score that the values start from; None if it is not known.
        standard_error: of the values; None where they are exact or their error is not known.
        removal: how units were made absent.
        notes: what must be said before the values are read.
        grids: pictures and sounds: a picture as a data: address (or empty), rows, columns, number of the first cell's
            unit.
        rows: how many rows ran through the model.
        seconds: how long it took.
    """

    values: Tensor
    scores: Tensor
    units: tuple[str, ...]
    response_units: tuple[str, ...]
    method: str
    scale: str
    prompt: str
    unit_spans: tuple[Span, ...]
    turns: tuple[tuple[str, Span], ...]
    response: str
    response_spans: tuple[Span, ...]
    gap: Tensor | None = None
    held: Tensor | None = None
    sinks: Tensor | None = None
    base: Tensor | None = None
    standard_error: Tensor | None = None
    removal: str = "drop"
    notes: tuple[str, ...] = ()
    grids: tuple[tuple[str, int, int, int], ...] = ()
    rows: int = 0
    seconds: float = 0.0

    def of(self, unit: int | str | None = None) -> Tensor:
        """Return (units,) the values for one unit of the response, by number or name; None: their sum over all.

        Raises:
            ArgumentError: there is no such unit, or several of that name.
        """
        if unit is None:
            return self.values.sum(0)
        if isinstance(unit, str):
            places = [k for k, name in enumerate(self.response_units) if name.strip() == unit.strip()]
            if len(places) != 1:
                several = f"several units are called {unit!r} (numbers {places}); give a number"
                raise ArgumentError(
                    f"unit: {several if places else f'no unit {unit!r}{did_you_mean(unit, self.response_units)}'}"
                )
            unit = places[0]
        if not -len(self.values) <= unit < len(self.values):
            raise ArgumentError(f"unit: expected a number from 0 to {len(self.values) - 1}, got {unit}")
        return self.values[unit]

    def top(self, count: int = 5, unit: int | str | None = None) -> list[tuple[str, float]]:
        """Return the units of the prompt with the largest values, largest first, with these."""
        row, names = self.of(unit), self._columns
        order = row.argsort(descending=True)[:count].tolist()
        return [(names[k], float(row[k])) for k in order]

    @property
    def _columns(self) -> tuple[str, ...]:
        return (self.units + self.response_units)[: self.values.shape[1]]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each unit of the response and a column for each unit of the prompt."""
        import pandas as pd

        return pd.DataFrame(self.values.numpy(), index=list(self.response_units), columns=list(self._columns))

    def __str__(self) -> str:
        best = [f"  {value:+.3g}  {one_line(name, _LINE)}" for name, value in self.top()]
        head = [*self.notes, f"{one_line(self.response, _LINE)!r}: {self.method}, {self.scale}"]
        return "\n".join([*head, *best])

    def show(self, unit: int | str | None = None) -> None:
        """Print the prompt in colours, for one unit of the response or all of it."""
        from rich.console import Console

        console = Console()
        for note in self.notes:
            console.print(note, style="yellow", markup=False)
        of = "all of the response" if unit is None else f"unit {unit!r}"
        limit = float(self.of(unit).abs().max())
        console.print(
            f"{self.method}: {self.scale}, of {of}; red speaks for it, blue against it, deepest at {limit:.3g}",
            style="bold", markup=False, highlight=False,
        )  # fmt: skip
        console.print(prompt_response_text(self._view(), self.of(unit).numpy()))

    def plot(self) -> Figure:
        """Return a matplotlib figure: a row for each unit of the response, a column for each unit of the prompt."""
        return prompt_response_figure(self._view())

    def to_html(self, path: str | Path) -> Path:
        """Write a page that needs no network: pointing at a word of the response lights up its sources."""
        title = escape(one_line(self.response, _LINE))
        page = (
            f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
            "<meta name='viewport' content='width=device-width'><style>:root{color-scheme:light dark}"
            f"body{{margin:1.5em}}</style></head><body>{self._repr_html_()}</body></html>"
        )
        return write_file(Path(path), lambda part: part.write_text(page, encoding="utf-8"))

    def _repr_html_(self) -> str:
        return prompt_response_html(self._view())

    def _view(self) -> PromptResponseView:
        return PromptResponseView(
            self.prompt, self.unit_spans, self.units, self.turns, self.response, self.response_spans,
            self.response_units, self.values.numpy(), self.method, self.scale, self.notes, self.grids,
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write all of it as one JSON file, which ``load`` reads."""
        data = asdict(self)
        for name in _TENSORS:
            data[name] = None if data[name] is None else getattr(self, name).tolist()
        write_json(Path(path), json.loads(json.dumps(data)))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return what ``save`` wrote; nothing is executed.

        Raises:
            ArgumentError: the file holds something else.
        """
        data = read_json(Path(path), "path")
        names = {field.name for field in fields(cls)}
        if not isinstance(data, dict) or not names >= set(data) - {"checksum"} or "values" not in data:
            raise ArgumentError(f"path: {path} holds no explanation of a response")
        data = {name: _tuples(value) for name, value in data.items() if name in names}
        try:
            for name in _TENSORS:
                if data.get(name) is not None:
                    data[name] = torch.tensor(np.asarray(data[name], float))
            return cls(**data)
        except (ValueError, TypeError, OverflowError) as problem:
            raise ArgumentError(f"path: {path} holds another explanation than save writes ({problem})") from problem


class ResponseExplanations(list[ResponseExplanation]):
    """Explanations of several responses, in the order of the prompts."""

    def __str__(self) -> str:
        return "\n\n".join(map(str, self))

    def _repr_html_(self) -> str:
        return "".join(explanation._repr_html_() for explanation in self)


def _tuples(value: ReadJson) -> ReadJson:
    return tuple(map(_tuples, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
