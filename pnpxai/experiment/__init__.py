"""Explainers x metrics x examples: values, a verdict and maps; resumable, on one machine or many."""

from pnpxai.experiment.experiment import Experiment
from pnpxai.experiment.results import Results
from pnpxai.experiment.running.batches import Stream
from pnpxai.experiment.running.comparison import DEFAULT_METRICS, compare
from pnpxai.experiment.running.devices import OnDevices

__all__ = ["DEFAULT_METRICS", "Experiment", "OnDevices", "Results", "Stream", "compare"]
