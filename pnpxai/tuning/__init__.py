"""Searching explainers' settings with Optuna; the only package that imports it."""

from pnpxai.tuning.result import LimitCheck, Stability, TuningResult
from pnpxai.tuning.search.budget import Budget
from pnpxai.tuning.search.judging import Judge, Judges
from pnpxai.tuning.search.race import Race, panel, race
from pnpxai.tuning.search.requirements import Limits, judges_of, known_in, limits_of, with_known
from pnpxai.tuning.search.shared_runs import RowCount, Shared
from pnpxai.tuning.search.study import tune
from pnpxai.tuning.storage.storages import StorageSpec

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
