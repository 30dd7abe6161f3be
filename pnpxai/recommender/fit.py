"""Which explainers fit a model and data, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from pnpxai.detector import ModelFacts, detect
from pnpxai.explainers.base import Explainer, fitting
from pnpxai.registry import every
from pnpxai.traits import Traits

__all__ = ["Recommendation", "recommend"]


@dataclass(frozen=True)
class Recommendation:
    """Which explainers fit a model and data.

    Attributes:
        facts: what the model is made of.
        explainers: those that fit, by name.
        controls: maps that ignore the model, to compare with.
        reasons: why the others do not fit, by name.
    """

    facts: ModelFacts
    explainers: tuple[type[Explainer], ...]
    controls: tuple[type[Explainer], ...]
    reasons: dict[str, str]

    def __iter__(self) -> Any:
        return iter(self.explainers)

    def __len__(self) -> int:
        return len(self.explainers)

    def table(self) -> pd.DataFrame:
        """Return one row for each explainer: whether it fits, why not."""
        fit = [(cls.__name__, "yes", "") for cls in self.explainers]
        return pd.DataFrame(
            [*fit, *((n, "no", r) for n, r in self.reasons.items())], columns=["explainer", "fits", "why not"]
        )

    def __str__(self) -> str:
        table = self.table()
        aligned = pd.DataFrame({name: table[name].str.ljust(table[name].str.len().max()) for name in table})
        lines = aligned.to_string(index=False, justify="left").splitlines()
        return "\n".join([self._made_of, *(line.rstrip() for line in lines)])

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._made_of)}</p>{self.table().to_html(index=False, justify='left')}"

    @property
    def _made_of(self) -> str:
        parts = ", ".join(sorted(self.facts.parts)) or "nothing that is known"
        return f"{self.facts.name} is made of {parts}"


def recommend(
    model: Any,
    traits: Traits | None = None,
    explainers: Sequence[type[Explainer]] | None = None,
    inputs: Any = None,
) -> Recommendation:
    """Return which explainers fit, computed from what they state about themselves.

    Args:
        model: the model.
        traits: facts about the data.
        explainers: classes to consider; by default all that there are.
        inputs: a batch, whose first example is run, so that the facts are what was seen; see ``detect``.
    """
    answers = fitting(model, traits, list(explainers) if explainers is not None else every(Explainer), inputs)
    fit = [cls for cls, reason in answers.items() if reason is None]
    return Recommendation(
        detect(model, inputs),
        tuple(cls for cls in fit if not cls.control),
        tuple(cls for cls in fit if cls.control),
        {cls.__name__: reason for cls, reason in answers.items() if reason is not None},
    )
