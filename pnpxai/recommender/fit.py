"""Which explainers fit a model and data, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

import pandas as pd

from pnpxai.declare.registry import by_name, every
from pnpxai.declare.text_columns import filled, in_columns
from pnpxai.detector import ModelFacts, detect
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer, fitting
from pnpxai.metrics.selection import ExplainerSpec
from pnpxai.modalities import Modality, SeveralModalities
from pnpxai.model_types import Model
from pnpxai.traits import Traits

__all__ = ["ModalitySpec", "Recommendation", "classes_of", "needed_traits", "recommend", "traits_of"]

ModalitySpec: TypeAlias = Traits | Modality | str | tuple[Modality | str, ...] | None
"""What data is: its facts, a modality or its name, a tuple with one for each input; None where it is not known."""


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

    def __iter__(self) -> Iterator[type[Explainer]]:
        return iter(self.explainers)

    def __len__(self) -> int:
        return len(self.explainers)

    @property
    def start_with(self) -> tuple[type[Explainer], ...]:
        """The explainers to start with, at most three: those that state a place, one of each family of methods."""
        places = {cls: cls.first_choice for cls in self.explainers if cls.first_choice is not None}
        of_family: dict[str, type[Explainer]] = {}
        for cls in sorted(places, key=places.__getitem__):
            of_family.setdefault(cls.__module__.rpartition(".")[0], cls)
        return tuple(of_family.values())[:3]

    @property
    def detected_architectures(self) -> frozenset[str]:
        """What the model is made of."""
        return frozenset(self.facts.parts)

    def print_tabular(self) -> None:
        """Print what fits, and why the rest does not."""
        print(self)

    def table(self) -> pd.DataFrame:
        """Return one row for each explainer, those to start with first: whether it fits, why not."""
        others = [cls for cls in self.explainers if cls not in self.start_with]
        fit = [(cls.__name__, "yes, start here", "") for cls in self.start_with]
        fit += [(cls.__name__, "yes", "") for cls in others]
        return pd.DataFrame(
            [*fit, *((n, "no", r) for n, r in self.reasons.items())], columns=["explainer", "fits", "why not"]
        )

    def __str__(self) -> str:
        return f"{filled(self._made_of)}\n\n{in_columns(self.table().to_dict('list'))}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._made_of)}</p>{self.table().to_html(index=False, justify='left')}"

    @property
    def _made_of(self) -> str:
        parts = ", ".join(sorted(self.facts.parts)) or "nothing that is known"
        return f"{self.facts.name} is made of {parts}"


def recommend(
    model: Model,
    traits: ModalitySpec = None,
    explainers: Sequence[type[Explainer]] | None = None,
    inputs: object = None,
) -> Recommendation:
    """Return which explainers fit, computed from what they state about themselves.

    Args:
        model: the model.
        traits: facts about the data: ``Traits``, a modality or its name, such as "image", or a tuple of these.
        explainers: classes to consider; by default all that there are.
        inputs: a batch, whose first example is run, so that the facts are what was seen; see ``detect``.
    """
    answers = fitting(
        model, traits_of(traits), list(explainers) if explainers is not None else every(Explainer), inputs
    )
    fit = [cls for cls, reason in answers.items() if reason is None]
    return Recommendation(
        detect(model, inputs),
        tuple(cls for cls in fit if not cls.control),
        tuple(cls for cls in fit if cls.control),
        {cls.__name__: reason for cls, reason in answers.items() if reason is not None},
    )


def traits_of(modality: ModalitySpec) -> Traits | None:
    """Return the facts of what data is.

    Raises:
        ArgumentError: there is no such modality.
    """
    if modality is None or isinstance(modality, Traits):
        return modality
    if isinstance(modality, (tuple, list)):
        return SeveralModalities(tuple(map(_modality, modality))).traits
    return _modality(modality).traits


def needed_traits(modality: ModalitySpec, name: str = "modality") -> Traits:
    """Return the facts of what data is, where they must be given.

    Raises:
        ArgumentError: there is no such modality, or nothing was given.
    """
    traits = traits_of(modality)
    if traits is None:
        raise ArgumentError(f"{name}: expected what the data is, such as 'image' or Traits.image(), got None")
    return traits


def _modality(modality: object) -> Modality:
    if isinstance(modality, Modality):
        return modality
    if isinstance(modality, str):
        return by_name(Modality, modality, "modality")()
    raise ArgumentError(
        f"modality: expected a modality such as ImageModality(), its name or Traits, got {type(modality).__name__}"
    )


def classes_of(explainers: Sequence[ExplainerSpec] | None) -> list[type[Explainer]] | None:
    """Return the classes of explainers that are given by name, as classes or configured; None for all.

    Raises:
        ArgumentError: nothing is called so, or it is no explainer.
    """
    return None if explainers is None else [_class(spec) for spec in explainers]


def _class(spec: ExplainerSpec) -> type[Explainer]:
    explainer = getattr(spec, "explainer", spec)  # of a candidate or a tuning result
    cls = by_name(Explainer, explainer, "explainer") if isinstance(explainer, str) else explainer
    cls = cls if isinstance(cls, type) else type(cls)
    if not issubclass(cls, Explainer):
        raise ArgumentError(f"explainers: expected a name, a class or a configured explainer, got {spec!r}")
    return cls
