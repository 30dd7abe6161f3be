"""Contracts that anyone's explainer, metric, strategy or modality can be held to, on calibrated models.

``contracts`` holds the classes to inherit. Their checks stand in ``results``, ``randomness``, ``lending`` and
``measurements`` (of a ``Subject``), ``declarations``, ``strategies`` and ``modalities``. ``zoo`` and ``architectures``
hold the models, and ``audit`` sees what a call leaves behind.
"""

from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.contracts import ExplainerContract, MetricContract, ModalityContract, StrategyContract
from pnpxai.testing.zoo import CASES, Case

__all__ = [
    "ARCHITECTURES",
    "CASES",
    "Case",
    "ExplainerContract",
    "MetricContract",
    "ModalityContract",
    "StrategyContract",
]
