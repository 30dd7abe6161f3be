"""Holds the exchangeable parts of explainers: baselines, feature masks, poolings and normalisations.

A strategy is a frozen callable on tensors. ``base`` says what all strategies share; each kind has a file with its
simple members (``baselines``, ``feature_masks``, ``pooling``, ``normalization``) and files for the elaborate ones.
"""

from __future__ import annotations


def __dir__() -> list[str]:
    """Return the names of all strategies and of the modules."""
    from pnpxai.declare.registry import names
    from pnpxai.strategies.base import Strategy

    return sorted({*globals(), *names(Strategy, __name__), "PostProcessor"})


def __getattr__(name: str) -> object:
    """Import a strategy when it is first used."""
    if not name[:1].isupper():  # modules are imported as such
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pnpxai.declare.registry import member
    from pnpxai.strategies.base import Strategy
    from pnpxai.strategies.postprocessing import PostProcessor

    return PostProcessor if name == "PostProcessor" else member(Strategy, name, __name__)
