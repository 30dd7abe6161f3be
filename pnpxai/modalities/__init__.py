"""Kinds of data: facts for strategies and explainers, the defaults that go with a kind, and how it is drawn.

``base`` declares what a modality states, one file holds each kind, ``several`` joins those of a model with several
inputs. A class that subclasses ``Modality`` is found by its name, wherever it is defined.
"""

from pnpxai.modalities.base import Modality
from pnpxai.modalities.graph import GraphModality
from pnpxai.modalities.image import ImageModality
from pnpxai.modalities.series import TimeSeriesModality
from pnpxai.modalities.several import ModalitySpec, SeveralModalities, modality_of
from pnpxai.modalities.table import TabularModality
from pnpxai.modalities.text import TextModality

__all__ = [
    "GraphModality",
    "ImageModality",
    "Modality",
    "ModalitySpec",
    "SeveralModalities",
    "TabularModality",
    "TextModality",
    "TimeSeriesModality",
    "modality_of",
]
