"""The share of a map's largest value."""

from pnpxai.metrics import LargestShare
from pnpxai.testing import MetricContract
from tests.metrics.test_planted import _by_maps

RANGES = {"LargestShare": (0, 1)}
ORDERINGS = {"LargestShare": _by_maps}


class TestContract(MetricContract):
    metric = LargestShare
