"""Plug-and-play explanations for PyTorch models: find what fits, tune it, compare it, see how far to trust it."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from pnpxai.migration import MissingModules, replacement_hint

if TYPE_CHECKING:
    from pnpxai.auto import (
        AutoExplanation,
        AutoExplanationForGeneration,
        AutoExplanationForImageClassification,
        AutoExplanationForTabularClassification,
        AutoExplanationForTabularRegression,
        AutoExplanationForTextClassification,
        AutoExplanationForTSClassification,
        AutoExplanationForVisualQuestionAnswering,
        Overview,
        ResponseExplanation,
        Sources,
        Template,
        auto_explain,
        explain,
    )
    from pnpxai.declare.registry import every
    from pnpxai.detector import detect
    from pnpxai.examples import Examples
    from pnpxai.experiment import Experiment, Results, compare
    from pnpxai.explainers.results.explanation import Explanation
    from pnpxai.pictures import Display
    from pnpxai.recommender import Recommender, XaiRecommender, rank, recommend
    from pnpxai.report import write_report
    from pnpxai.tables import Table
    from pnpxai.traits import Traits
    from pnpxai.tuning import TuningResult, tune

__version__ = "0.2.0"
__all__ = [
    "AutoExplanation",
    "AutoExplanationForGeneration",
    "AutoExplanationForImageClassification",
    "AutoExplanationForTSClassification",
    "AutoExplanationForTabularClassification",
    "AutoExplanationForTabularRegression",
    "AutoExplanationForTextClassification",
    "AutoExplanationForVisualQuestionAnswering",
    "Display",
    "Examples",
    "Experiment",
    "Explanation",
    "Overview",
    "Recommender",
    "ResponseExplanation",
    "Results",
    "Sources",
    "Table",
    "Template",
    "Traits",
    "TuningResult",
    "XaiRecommender",
    "auto_explain",
    "compare",
    "detect",
    "every",
    "explain",
    "rank",
    "recommend",
    "tune",
    "write_report",
]

_HOMES = {
    "AutoExplanation": "auto",
    "AutoExplanationForGeneration": "auto",
    "AutoExplanationForImageClassification": "auto",
    "AutoExplanationForTSClassification": "auto",
    "AutoExplanationForTabularClassification": "auto",
    "AutoExplanationForTabularRegression": "auto",
    "AutoExplanationForTextClassification": "auto",
    "AutoExplanationForVisualQuestionAnswering": "auto",
    "Display": "pictures",
    "Examples": "examples",
    "Experiment": "experiment",
    "Explanation": "explainers.results.explanation",
    "Overview": "auto",
    "Recommender": "recommender",
    "ResponseExplanation": "auto",
    "Results": "experiment",
    "Sources": "auto",
    "Table": "tables",
    "Template": "auto",
    "Traits": "traits",
    "TuningResult": "tuning",
    "XaiRecommender": "recommender",
    "auto_explain": "auto",
    "compare": "experiment",
    "detect": "detector",
    "every": "declare.registry",
    "explain": "auto",
    "rank": "recommender",
    "recommend": "recommender",
    "tune": "tuning",
    "write_report": "report",
}

sys.meta_path.append(MissingModules)


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pnpxai' has no attribute {name!r}{replacement_hint(name)}")
    return getattr(importlib.import_module(f"pnpxai.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
