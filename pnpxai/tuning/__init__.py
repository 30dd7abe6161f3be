"""Searching explainers' settings with Optuna; the only package that imports it."""

from pnpxai.tuning.budget import Budget
from pnpxai.tuning.judging import Judge, Judges
from pnpxai.tuning.race import Race, panel, race
from pnpxai.tuning.result import Stability, TuningResult
from pnpxai.tuning.shared import RowCount, Shared
from pnpxai.tuning.storage import StorageSpec
from pnpxai.tuning.study import tune

__all__ = [
    "Budget",
    "Judge",
    "Judges",
    "Race",
    "RowCount",
    "Shared",
    "Stability",
    "StorageSpec",
    "TuningResult",
    "panel",
    "race",
    "tune",
]
