"""Searching explainers' settings with Optuna; the only package that imports it."""

from pnpxai.tuning.asked import Limits, judges_of, known_in, limits_of, with_known
from pnpxai.tuning.budget import Budget
from pnpxai.tuning.judging import Judge, Judges
from pnpxai.tuning.race import Race, panel, race
from pnpxai.tuning.result import LimitCheck, Stability, TuningResult
from pnpxai.tuning.shared import RowCount, Shared
from pnpxai.tuning.storage import StorageSpec
from pnpxai.tuning.study import tune

__all__ = [
    "Budget",
    "Judge",
    "Judges",
    "LimitCheck",
    "Limits",
    "Race",
    "RowCount",
    "Shared",
    "Stability",
    "StorageSpec",
    "TuningResult",
    "judges_of",
    "known_in",
    "limits_of",
    "panel",
    "race",
    "tune",
    "with_known",
]
