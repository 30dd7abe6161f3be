"""Metrics: (inputs, targets, attributions) -> one number per example.

``base`` says what every metric promises, on a ``sample`` whose maps are by position (``positions``); model runs that
do not depend on a map are kept in ``shared_runs``. Metrics of one question stand together: ``faithfulness/``,
``robustness/``, ``randomisation/``, ``localisation`` and ``complexity``. ``selection`` finds metrics and candidates by
name; ``evaluation`` is where a metric meets a candidate.
"""

from __future__ import annotations


def __dir__() -> list[str]:
    """Return the names of all metrics beside those of the modules."""
    from pnpxai.declare.registry import names
    from pnpxai.metrics.base import Metric

    return sorted({*globals(), *names(Metric, __name__)})


def __getattr__(name: str) -> object:
    """Import a metric when it is first used."""
    if not name[:1].isupper():  # modules are imported as such
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pnpxai.declare.registry import member
    from pnpxai.metrics.base import Metric

    return member(Metric, name, __name__)
