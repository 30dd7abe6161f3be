"""Every metric of the package keeps every contract."""

from __future__ import annotations

import pytest

from pnpxai.declare.registry import every
from pnpxai.errors import UnsuitableError
from pnpxai.metrics.base import Metric
from pnpxai.testing import declarations, measurements
from pnpxai.testing.contracts import METRIC_CHECKS
from pnpxai.testing.lending import check_cost, check_nothing_left
from pnpxai.testing.randomness import check_same_seed
from pnpxai.testing.results import check_alone_as_in_a_batch, check_form
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES

METRICS = every(Metric, within="pnpxai.")
FEWER = {"n_iter": 4, "n_steps": 5, "n_runs": 6, "n_perturb": 12, "n_stages": 2}
"""Settings that only cost time."""
NAMES = ("mlp", "skip_cnn", "series", "two_inputs", "tokens")
FULL = ("skip_cnn", "tokens")
"""Every check is run on these; on the others only the quick ones, the rest with ``-m slow``."""
QUICK = (
    check_form,
    check_alone_as_in_a_batch,
    check_cost,
    check_nothing_left,
    check_same_seed,
    measurements.check_reasons,
    measurements.check_flat_maps,
    measurements.check_function_target,
)
REFUSED = {
    ("ROAD", "mlp"): "'linear' needs numbers with channels",
    ("ROAD", "two_inputs"): "'linear' needs numbers with channels",
    ("ROAD", "tokens"): "'linear' needs numbers with channels",
}
"""What a metric says where it is not defined."""


def settings(metric):
    return {name: value for name, value in FEWER.items() if name in metric._fields}


every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)


def _laws():
    for metric in METRICS:
        for name in NAMES:
            for check in METRIC_CHECKS:
                quick = name in FULL or check in QUICK
                marks = [] if quick else [pytest.mark.slow]
                yield pytest.param(metric, name, check, marks=marks, id=f"{metric.__name__}-{name}-{check.__name__}")


@pytest.mark.parametrize(("metric", "name", "check"), list(_laws()))
def test_law(metric, name, check):
    case = CASES[name]()
    subject = Subject.of_metric(metric, case, **settings(metric))
    if (metric.__name__, name) in REFUSED:
        with pytest.raises(UnsuitableError, match=REFUSED[metric.__name__, name]):
            subject.run(case)
        return
    check(subject, case)


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
