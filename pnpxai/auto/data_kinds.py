"""What kind of data the explained inputs are, from what the user said, the first batch and the model."""

from __future__ import annotations

from collections.abc import Callable

from pnpxai.auto.code_columns import read_by_column
from pnpxai.auto.misfits import misfit
from pnpxai.declare.marks import Settings
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.places import argument_names
from pnpxai.errors import ArgumentError
from pnpxai.modalities import Modality, ModalitySpec, SeveralModalities, TabularModality, modality_of
from pnpxai.model_types import Model

__all__ = ["recognised_modality", "with_facts"]


def recognised_modality(
    model: Model, spec: ModalitySpec, facts: Settings, arguments: Arguments
) -> tuple[Modality, str]:
    """Return the kind of data, and why it is taken for that, in words.

    Args:
        model: the model.
        spec: what the user said; columns of codes are tables where the model reads them so.
        facts: what is known of the data, by the names of the fields of modalities.
        arguments: what the first batch means to the model.

    Raises:
        ArgumentError: the kind cannot be told, or has none of these facts.
    """
    if spec is None and "tokenizer" not in facts:
        codes = read_by_column(model, arguments)
        kinds = [TabularModality.name if k in codes else None for k in range(len(arguments.explained))]
        spec = (kinds[0] if len(kinds) == 1 else kinds) if codes else None
    try:
        modality, why = modality_of(spec, arguments.explained, model)
    except ArgumentError as problem:
        raise ArgumentError(misfit(model, arguments.explained) or str(problem)) from problem
    return with_facts(model, modality, facts, lambda: arguments), why


def with_facts(model: Model, modality: Modality, facts: Settings, arguments: Callable[[], Arguments]) -> Modality:
    """Return the modality with the facts that the user gave beside it; only for several inputs is a batch read.

    Raises:
        ArgumentError: data of this kind has no such fact.
    """
    if isinstance(modality, SeveralModalities):
        read = arguments()
        return modality.completed(facts, read.explained, read.names or argument_names(model))
    if unknown := [name for name in facts if name not in modality.defaults()]:
        raise ArgumentError(f"{unknown[0]}: {modality.name} data has none; the data was said to be {modality.name}")
    return modality.having(facts)
