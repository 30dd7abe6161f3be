"""Searching explainers' settings with Optuna; the only package that imports it."""

from pnpxai.tuning.result import Stability, TuningResult
from pnpxai.tuning.shared import RowCount, Shared
from pnpxai.tuning.study import tune

__all__ = ["RowCount", "Shared", "Stability", "TuningResult", "tune"]
