"""Targets, which say what of a model's output is explained: values that are frozen, printed, and written to JSON.

``base`` says what a target is; ``classes`` holds the targets of classifiers, ``places`` those of outputs with positions
(segmentation, detection, forecasts), ``embeddings`` that of encoders; ``written`` reads a target from text.
"""

from pnpxai.targets.base import TargetValue, target_rows
from pnpxai.targets.classes import Class, Contrast, LogProbability, Probability
from pnpxai.targets.embeddings import Similarity
from pnpxai.targets.places import Box, Horizon, Mean, Pixels
from pnpxai.targets.written import target_from

__all__ = [
    "Box",
    "Class",
    "Contrast",
    "Horizon",
    "LogProbability",
    "Mean",
    "Pixels",
    "Probability",
    "Similarity",
    "TargetValue",
    "target_from",
    "target_rows",
]
