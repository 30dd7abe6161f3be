"""Explainers x metrics x examples: values, a verdict and maps; resumable, on one machine or many."""

from pnpxai.experiment.comparing import DEFAULT_METRICS, compare
from pnpxai.experiment.devices import OnDevices
from pnpxai.experiment.experiment import Experiment
from pnpxai.experiment.results import Results
from pnpxai.experiment.stream import Stream

__all__ = ["DEFAULT_METRICS", "Experiment", "OnDevices", "Results", "Stream", "compare"]
