"""Exchangeable choices inside a method: baselines, feature masks, pooling, normalisation. All frozen callables."""

from __future__ import annotations


def __getattr__(name: str) -> object:
    """Import a strategy when it is first used."""
    if not name[:1].isupper():  # modules are imported as such
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pnpxai.declare.registry import member
    from pnpxai.strategies.base import Strategy
    from pnpxai.strategies.postprocessing import PostProcessor

    return PostProcessor if name == "PostProcessor" else member(Strategy, name, __name__)
