"""Explainers, the classes that users name: ``attribute(inputs, targets)``, ``explain(...)``, ``get_tunables()``.

``base`` holds ``Explainer``; ``gradient``, ``cam``, ``perturbation``, ``propagation`` and ``attention`` hold the
methods by family; ``controls`` holds maps that a method must beat, ``ensemble`` the mean of several methods; ``run``
and ``explain`` take a batch through an explainer; ``results`` holds what ``explain`` returns.
"""

from __future__ import annotations


def __dir__() -> list[str]:
    """Return the names of all explainers and of the modules."""
    from pnpxai.declare.registry import names
    from pnpxai.explainers.base import Explainer

    return sorted({*globals(), *names(Explainer, __name__)})


def __getattr__(name: str) -> object:
    """Import an explainer when it is first used."""
    if not name[:1].isupper():  # modules are imported as such
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pnpxai.declare.registry import member
    from pnpxai.explainers.base import Explainer

    return member(Explainer, name, __name__)
