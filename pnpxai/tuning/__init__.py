"""Searching an explainer's settings with Optuna; the only package that imports it."""

from pnpxai.tuning.study import TuningResult, tune

__all__ = ["TuningResult", "tune"]
