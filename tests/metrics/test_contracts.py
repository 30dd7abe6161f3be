"""Every metric of the package keeps every contract: a cell is one metric on one case, and names all that fails."""

from __future__ import annotations

import pytest

from pnpxai.declare.registry import every
from pnpxai.errors import UnsuitableError
from pnpxai.explainers import Gradient
from pnpxai.metrics.base import Metric
from pnpxai.testing import declarations, measurements
from pnpxai.testing.contracts import METRIC_CHECKS
from pnpxai.testing.lending import check_cost, check_nothing_left
from pnpxai.testing.randomness import check_same_seed
from pnpxai.testing.results import check_alone_as_in_a_batch, check_form
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES
from tests.failures import Failures
from tests.mirror import stated
from tests.small import padded

METRICS = every(Metric, within="pnpxai.")
FEWER = {"n_iter": 4, "n_steps": 5, "n_runs": 6, "n_perturb": 12, "n_stages": 2}
"""Settings that only cost time."""
NAMES = ("mlp", "skip_cnn", "series", "two_inputs", "tokens")
FULL = "skip_cnn"
"""Every check is run on this case; on the others only the quick ones, the rest with ``-m slow``."""
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
"""What a metric says where it is not defined; a new metric states its own in its own test file, by case."""


def settings(metric):
    return {name: value for name, value in FEWER.items() if name in metric._fields}


every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)


def check_cell(metric, name, checks):
    """Run checks of a metric on a case, and name those that fail together; or show its refusal."""
    case, failures = CASES[name](), Failures(f"{metric.__name__} on {name}")
    subject = Subject.of_metric(metric, case, **settings(metric))
    refusal = REFUSED.get((metric.__name__, name)) or stated(metric, "REFUSED", {}).get(name)
    if refusal:
        with pytest.raises(UnsuitableError, match=refusal):
            subject.run(case)
        return
    for check in checks:
        failures.run(check, subject, case)
    failures.end()


def checks_at_once(name):
    """Return the contracts that are run on a case without ``-m slow``."""
    return METRIC_CHECKS if name == FULL else QUICK


def cells():
    for metric in METRICS:
        for name in NAMES:
            marks = [pytest.mark.smoke] if name == "series" else []
            yield pytest.param(metric, name, marks=marks, id=f"{metric.__name__}-{name}")


@pytest.mark.parametrize(("metric", "name"), list(cells()))
def test_cell(metric, name):
    check_cell(metric, name, checks_at_once(name))


@every_metric
@pytest.mark.parametrize(("side", "ids"), [("left", True), ("right", False)], ids=["ids", "embeddings"])
def test_padding_changes_nothing(metric, side, ids):
    if ids and (metric.__name__, "tokens") in REFUSED:
        pytest.skip("is refused for tokens, which the cells show")
    model, batch, alone, _ = padded(side, ids=ids)
    explainer = Gradient(model)
    given = settings(metric) | ({"explainer": explainer} if metric.needs_explainer else {})
    made = metric(model, **given, **({} if ids else {"channel_dim": -1}))
    values = []
    for inputs, targets in ((batch, [1, 1]), (alone, [1])):
        truth = {"masks": inputs["attention_mask"].cumsum(1) == 2} if metric.needs_masks else {}
        values.append(made.evaluate(inputs, targets, explainer.attribute(inputs, targets).abs(), **truth)[-1])
    assert values[0].isfinite()
    assert values[0].item() == pytest.approx(values[1].item(), abs=1e-9, rel=1e-6)


@pytest.mark.slow
@every_metric
@pytest.mark.parametrize("name", [name for name in NAMES if name != FULL])
def test_remaining_contracts(metric, name):
    check_cell(metric, name, [check for check in METRIC_CHECKS if check not in checks_at_once(name)])


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
