"""Checks that anyone's explainer or metric can be held to, on calibrated models."""

from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.contracts import ExplainerContract, MetricContract
from pnpxai.testing.zoo import CASES, Case

__all__ = ["ARCHITECTURES", "CASES", "Case", "ExplainerContract", "MetricContract"]
