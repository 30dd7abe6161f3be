"""Which explainers are recommended, in which order, how long each takes, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from pnpxai.declare.text_columns import filled, in_columns
from pnpxai.detector import ModelFacts
from pnpxai.explainers.base import Explainer
from pnpxai.pictures.notebook import table_html
from pnpxai.recommender.dry_runs import DryRun

__all__ = ["START_WORDS", "Recommendation"]

START_WORDS = {1: "this one", 2: "these two", 3: "these three"}
_FIRST = 3
"""How many explainers there are to start with."""
_SECONDS = 20.0
"""Seconds that one example may take with an explainer to start with."""


@dataclass(frozen=True)
class Recommendation:
    """Which explainers fit a model and data.

    Attributes:
        facts: what the model is made of.
        explainers: those that fit, by name.
        controls: maps that ignore the model, to compare with.
        reasons: why the others do not fit, by name.
        seconds: how long one example takes, by name, where explainers were tried.
        untried: why they could not be tried on an example, if there was one; they fit by what they state.
    """

    facts: ModelFacts
    explainers: tuple[type[Explainer], ...]
    controls: tuple[type[Explainer], ...]
    reasons: dict[str, str]
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)
    untried: str = ""

    def __iter__(self) -> Iterator[type[Explainer]]:
        return iter(self.explainers)

    def __len__(self) -> int:
        return len(self.explainers)

    def after(self, tried: DryRun) -> Recommendation:
        """Return the recommendation of those that explained an example."""
        kept = tuple(cls for cls in self.explainers if cls.__name__ not in tried.reasons)
        reasons = self.reasons | dict(tried.reasons)
        return replace(self, explainers=kept, reasons=reasons, seconds=tried.seconds, untried=tried.untried)

    @property
    def start_with(self) -> tuple[type[Explainer], ...]:
        """The explainers to start with, at most three: those that state a place, one of each family of methods.

        None of them takes more than 20 seconds for one example, where that is known.
        """
        quick = [cls for cls in self.explainers if self.seconds.get(cls.__name__, 0.0) <= _SECONDS]
        places = {cls: cls.first_choice for cls in quick if cls.first_choice is not None}
        of_family: dict[str, type[Explainer]] = {}
        for cls in sorted(places, key=places.__getitem__):
            of_family.setdefault(_home(cls), cls)
        return tuple(of_family.values())[:_FIRST]

    @property
    def in_order(self) -> tuple[type[Explainer], ...]:
        """All that fit: those to start with, then the quickest first."""
        others = [cls for cls in self.explainers if cls not in self.start_with]
        return (*self.start_with, *sorted(others, key=lambda cls: (self.seconds.get(cls.__name__, 0.0), cls.__name__)))

    @property
    def detected_architectures(self) -> frozenset[str]:
        """What the model is made of."""
        return frozenset(self.facts.parts)

    def print_tabular(self) -> None:
        """Print what fits, and why the rest does not."""
        print(self)

    def table(self) -> pd.DataFrame:
        """Return one row for each explainer in order: whether it fits, its kind, seconds an example, why not."""
        rows = [
            {
                "explainer": cls.__name__,
                "fits": "yes, start here" if cls in self.start_with else "yes",
                "kind": _kind(cls),
                "seconds": self.seconds_of(cls),
                "why not": "",
            }
            for cls in self.in_order
        ]
        empty = {"fits": "no", "kind": "", "seconds": ""}
        rows += [{"explainer": name, **empty, "why not": reason} for name, reason in self.reasons.items()]
        columns = ["explainer", "fits", "kind", "seconds", "why not"]
        return pd.DataFrame(rows, columns=[name for name in columns if self.seconds or name != "seconds"])

    def seconds_of(self, cls: type[Explainer]) -> str:
        """Return how many seconds one example takes, in two digits; empty if that was not measured."""
        seconds = self.seconds.get(cls.__name__)
        return "" if seconds is None else f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"

    def __str__(self) -> str:
        fitting = self.table().query("fits != 'no'").drop(columns="why not")
        tables = [in_columns(fitting.to_dict("list"))] if len(fitting) else []
        if self.reasons:
            tables.append(in_columns({"not recommended": list(self.reasons), "why not": list(self.reasons.values())}))
        return "\n\n".join([filled(self.summary), *([filled(self._start)] if self._start else []), *tables])

    def _repr_html_(self) -> str:
        return table_html((self.summary, self._start), self.table())

    @property
    def summary(self) -> str:
        """What the model is made of, and how it was found out what fits, in one sentence."""
        parts = ", ".join(sorted(self.facts.parts)) or "nothing that is known"
        tried = "; what fits explained one example, in so many seconds" if self.seconds else ""
        tried = f"; nothing was tried: {self.untried}" if self.untried else tried
        return f"{self.facts.name} is made of {parts}{tried}"

    @property
    def _start(self) -> str:
        names = ", ".join(cls.__name__ for cls in self.start_with)
        return f"Start with {START_WORDS[len(self.start_with)]}: {names}" if names else ""


def _kind(cls: type[Explainer]) -> str:
    """Return the kind of method: the room of its family, or its own file where the family has no room."""
    home, _, file = cls.__module__.rpartition(".")
    return file if home == "pnpxai.explainers" else home.rpartition(".")[2] or file


def _home(cls: type[Explainer]) -> str:
    """Return the room in which the family of an explainer stands."""
    return cls.__module__.rpartition(".")[0]
