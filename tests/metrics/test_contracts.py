"""Every metric of the package keeps every contract."""

from __future__ import annotations

import pytest

from pnpxai.metrics.base import Metric
from pnpxai.registry import every
from pnpxai.testing import declarations, measurements
from pnpxai.testing.contracts import METRIC_CHECKS
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES

METRICS = every(Metric, within="pnpxai.")
FEWER = {"n_iter": 4, "n_steps": 5, "n_runs": 6}
"""Settings that only cost time."""


def settings(metric):
    return {name: value for name, value in FEWER.items() if name in metric._fields}


every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)


@pytest.mark.parametrize("check", METRIC_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["mlp", "skip_cnn", "series"])
@every_metric
def test_law(metric, name, check):
    case = CASES[name]()
    check(Subject.of_metric(metric, case, **settings(metric)), case)


@every_metric
def test_declaration(metric):
    model = CASES["mlp"]().model
    measurements.check_facts(metric)
    declarations.check_round_trip(metric(model, **settings(metric)), model)
    declarations.check_defaults(metric)
    declarations.check_unknown_setting(metric, model)
    assert metric.__doc__


def test_names_are_unique():
    declarations.check_unique_names(Metric)
