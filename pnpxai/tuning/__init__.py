"""Searching explainers' settings with Optuna; the only package that imports it."""

from pnpxai.tuning.result import LimitCheck, Stability, TuningResult
from pnpxai.tuning.search.budget import Budget
from pnpxai.tuning.search.race import Race, panel, race
from pnpxai.tuning.search.study import tune
from pnpxai.tuning.storage.storages import StorageSpec
from pnpxai.tuning.trials.judging import Judge, Judges
from pnpxai.tuning.trials.requirements import Limits, has_masks, judges_of, limits_of, with_masks
from pnpxai.tuning.trials.shared_runs import RowCount, Shared

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
    "has_masks",
    "limits_of",
    "panel",
    "race",
    "tune",
    "with_masks",
]
