"""Model and data in, answers out."""

from pnpxai.auto.auto_explain import auto_explain
from pnpxai.auto.explanation import AutoExplanation
from pnpxai.auto.tasks import (
    AutoExplanationForImageClassification,
    AutoExplanationForTabularClassification,
    AutoExplanationForTabularRegression,
    AutoExplanationForTextClassification,
    AutoExplanationForTSClassification,
    AutoExplanationForVisualQuestionAnswering,
)

__all__ = [
    "AutoExplanation",
    "AutoExplanationForImageClassification",
    "AutoExplanationForTSClassification",
    "AutoExplanationForTabularClassification",
    "AutoExplanationForTabularRegression",
    "AutoExplanationForTextClassification",
    "AutoExplanationForVisualQuestionAnswering",
    "auto_explain",
]
