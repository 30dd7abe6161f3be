"""Which explainers fit a model and data, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pnpxai.declare.registry import by_name, every
from pnpxai.detector import detect
from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer, fitting
from pnpxai.metrics.selection import ExplainerSpec
from pnpxai.modalities import Modality, SeveralModalities
from pnpxai.model_types import Model
from pnpxai.recommender.dry_runs import dry_run
from pnpxai.recommender.recommendation import Recommendation
from pnpxai.traits import Traits

__all__ = ["ModalitySpec", "by_facts", "classes_of", "needed_traits", "recommend", "traits_of"]

ModalitySpec: TypeAlias = Traits | Modality | str | tuple[Modality | str, ...] | None
"""What data is: its facts, a modality or its name, a tuple with one for each input; None where it is not known."""


def recommend(
    model: Model,
    traits: ModalitySpec = None,
    explainers: Sequence[type[Explainer]] | None = None,
    inputs: object = None,
    *,
    targets: Target = None,
    settings: Mapping[str, object] | None = None,
) -> Recommendation:
    """Return which explainers fit: without inputs by what they state about themselves, with them by what is seen.

    With inputs, each explainer that fits by what it states explains the first example, or a short version of it; one is
    recommended if it did so within its law. See ``dry_run`` for what that may cost.

    Args:
        model: the model.
        traits: facts about the data: ``Traits``, a modality or its name, such as "image", or a tuple of these.
        explainers: classes to consider; by default all that there are.
        inputs: a batch, whose first example is run and explained.
        targets: which output of each example; by default, where there are several, the largest.
        settings: settings that explainers share, where they have them.
    """
    fitting = by_facts(model, traits, explainers, inputs)
    if inputs is None:
        return fitting
    of = traits_of(traits)
    shared = dict(settings or {}) if of is None else of.shared(settings)
    return fitting.after(dry_run(fitting.explainers, model, inputs, targets, shared))


def by_facts(
    model: Model,
    traits: ModalitySpec = None,
    explainers: Sequence[type[Explainer]] | None = None,
    inputs: object = None,
) -> Recommendation:
    """Return which explainers fit by what they state about themselves; see ``recommend``, and ``detect`` for inputs."""
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
