"""Gradient times input, raised to a power."""

from pnpxai.explainers import Sharpened
from pnpxai.testing import ExplainerContract
from tests.laws import Law
from tests.laws.trial import deviation


def powers(trial):
    shares = [g * v for g, v in zip(trial.gradient(), trial.values, strict=True)]
    return deviation(trial.maps, tuple(s.sign() * s.abs() ** 1.5 for s in shares))


LAWS = {"Sharpened": (Law("autograd times input to the power", powers),)}


class TestContract(ExplainerContract):
    explainer = Sharpened
    case_names = ("mlp", "cnn")
    answer = staticmethod(lambda weights, inputs: (weights * inputs).sign() * (weights * inputs).abs() ** 1.5)
