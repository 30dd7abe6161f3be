"""What data is: facts for strategies and explainers, defaults that go with it, and how it is drawn."""

from pnpxai.modalities.base import Modality
from pnpxai.modalities.image import ImageModality
from pnpxai.modalities.series import TimeSeriesModality
from pnpxai.modalities.several import SeveralModalities, modality_of
from pnpxai.modalities.table import TabularModality
from pnpxai.modalities.text import TextModality

__all__ = [
    "ImageModality",
    "Modality",
    "SeveralModalities",
    "TabularModality",
    "TextModality",
    "TimeSeriesModality",
    "modality_of",
]
