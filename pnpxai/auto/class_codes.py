"""Classes that data names in words, as the numbers of a model's outputs."""

from __future__ import annotations

from collections.abc import Sequence

from pnpxai.errors import ArgumentError, did_you_mean

__all__ = ["class_codes"]


def class_codes(names: Sequence[str], class_names: Sequence[str], noun: str) -> list[int]:
    """Return the numbers of classes: their places among the model's classes, else among themselves, sorted.

    Args:
        names: the class of each example.
        class_names: the model's classes in the order of its outputs, none if they are unknown.
        noun: what error messages call a name, such as "label".

    Raises:
        ArgumentError: a name is no class of the model.
    """
    known = list(class_names) or sorted(set(names))
    places = {name: number for number, name in enumerate(known)}
    unknown = next((name for name in names if name not in places), None)
    if unknown is not None:
        raise ArgumentError(f"class_names: the {noun} {unknown!r} is none of them{did_you_mean(unknown, known)}")
    return [places[name] for name in names]
