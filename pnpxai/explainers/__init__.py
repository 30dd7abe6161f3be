"""What a user names: ``attribute(inputs, targets)``, ``explain(...)``, ``get_tunables()``."""

from __future__ import annotations


def __getattr__(name: str) -> object:
    """Import an explainer when it is first used."""
    if not name[:1].isupper():  # modules are imported as such
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pnpxai.declare.registry import member
    from pnpxai.explainers.base import Explainer

    return member(Explainer, name, __name__)
