"""(inputs, targets, attributions) -> one number per example."""

from __future__ import annotations


def __getattr__(name: str) -> object:
    """Import a metric when it is first used."""
    if not name[:1].isupper():  # modules are imported as such
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pnpxai.declare.registry import member
    from pnpxai.metrics.base import Metric

    return member(Metric, name, __name__)
