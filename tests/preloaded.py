"""What commands and searches import, so that processes of ``tests.forked`` have it from the start."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # a process with threads cannot be forked safely

import pytest  # noqa: E402, F401

import pnpxai.auto  # noqa: E402
import pnpxai.cli.commands  # noqa: E402
import pnpxai.experiment  # noqa: E402
import pnpxai.metrics  # noqa: E402
import pnpxai.report  # noqa: E402
import pnpxai.tuning  # noqa: E402, F401
from pnpxai.declare.registry import every  # noqa: E402
from pnpxai.explainers.base import Explainer  # noqa: E402
from pnpxai.metrics.base import Metric  # noqa: E402

for base in (Explainer, Metric):
    every(base)
