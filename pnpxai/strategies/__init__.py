"""Exchangeable choices inside a method: baselines, feature masks, pooling, normalisation. All frozen callables."""

from __future__ import annotations


def __dir__() -> list[str]:
    """Return the names of all strategies beside those of the modules."""
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
