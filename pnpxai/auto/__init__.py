"""Model and data in, answers out.

``conversion`` and ``data`` make batches of tensors of what users have, ``batch_reader`` reads them as the model's
arguments with targets (``batch_targets``) and a kind (``data_kinds``). ``model_on_data`` finds out what suits both,
``explanation`` is the object that users hold, ``overview`` shows one picture at a glance; ``tasks`` gives it the names
of PnPXAI 0.1. ``generation`` is for what language models write.
"""

from pnpxai.auto.auto_explain import auto_explain
from pnpxai.auto.explanation import AutoExplanation
from pnpxai.auto.generation import AutoExplanationForGeneration, ResponseExplanation, Sources, Template
from pnpxai.auto.overview import Overview, explain
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
    "AutoExplanationForGeneration",
    "AutoExplanationForImageClassification",
    "AutoExplanationForTSClassification",
    "AutoExplanationForTabularClassification",
    "AutoExplanationForTabularRegression",
    "AutoExplanationForTextClassification",
    "AutoExplanationForVisualQuestionAnswering",
    "ResponseExplanation",
    "Sources",
    "Template",
    "Overview",
    "auto_explain",
    "explain",
]
