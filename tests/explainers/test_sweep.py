"""Every explainer on every architecture: its laws hold and it keeps every contract, or its refusal is shown to be true.

A cell is one explainer on one architecture. All its checks are run, and those that fail are named together. On
``FULL`` these are all contracts; on the other small ones the quick contracts, the others with ``-m slow``; on large
architectures (``-m slow``) the laws.
"""

from __future__ import annotations

import functools

import pytest
import torch

from pnpxai.declare.registry import every
from pnpxai.errors import ShapeError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.testing.architectures import ARCHITECTURES, LARGE
from pnpxai.testing.audit import audit, check_growth
from pnpxai.testing.contracts import COMMON_FIELDS, EXPLAINER_CHECKS
from pnpxai.testing.declarations import (
    check_defaults,
    check_round_trip,
    check_signature,
    check_unique_names,
    check_unknown_setting,
)
from pnpxai.testing.lending import check_cost, check_nothing_left
from pnpxai.testing.results import check_alone_as_in_a_batch, check_form, check_says_something
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES
from tests.explainers.checks import at_layers, batches, checks_on, explanations
from tests.failures import Failures
from tests.laws import LAWS, laws_of
from tests.laws.matrix import cell, spoken_for
from tests.laws.refusals import REFUSALS, allowed, reason_against
from tests.laws.trial import MEMBERS
from tests.small import padded

EXPLAINERS = every(Explainer, within="pnpxai.")
MODULES = (at_layers, batches, explanations)
"""They declare the checks that ``checks_on`` yields."""
FEWER = {
    "n_iter": 3,
    "n_steps": 4,
    "n_samples": 20,
    "window": 1 / 4,
    "stride": 1 / 4,
    "n_masks": 40,
    "discard_ratio": 0.5,
    "n_channels": 8,
    "explainers": MEMBERS,
}
"""Settings that only cost time, or that so small a model needs: of five tokens, little is left to discard."""
FEWEST = {"ShapleyValueSampling": {"n_samples": 2}}
"""The same for one explainer, whose samples cost more than others'."""
NOT_PADDED = {"FullGrad": "examples of one length together", "RISE": "give channel_dim=-1"}
"""What explainers say of padded examples; RISE of embeddings whose axis of channels it is not told."""
FULL = "skip_cnn"
"""Every contract is run on this case at once."""
QUICK = (check_form, check_alone_as_in_a_batch, check_says_something, check_cost, check_nothing_left)

each = pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda explainer: explainer.__name__)


def settings(explainer):
    fewer = FEWER | FEWEST.get(explainer.__name__, {})
    return {name: value for name, value in fewer.items() if name in explainer._fields}


def keep_contracts(failures, explainer, case, checks):
    """Run contracts on a case; where maps are zero if nothing speaks for an output, on outputs that something does."""
    subject = Subject.of_explainer(explainer, case, **settings(explainer))
    if explainer.rectified:
        case = spoken_for(subject, case)
    for check in checks:
        failures.run(check, subject, case)


def checks_at_once(name):
    """Return the contracts that are run on a case without ``-m slow``."""
    return EXPLAINER_CHECKS if name == FULL else QUICK


def telling(explainer):
    """Return the case that tells most of an explainer in the shortest time."""
    return "vit" if "attention" in explainer.needs else "cnn"


def cells():
    for explainer in EXPLAINERS:
        for name in ARCHITECTURES:
            slow = [pytest.mark.slow] if name in LARGE else []
            smoke = [pytest.mark.smoke] if name == telling(explainer) else []
            yield pytest.param(explainer, name, marks=slow + smoke, id=f"{explainer.__name__}-{name}")


@pytest.mark.parametrize(("explainer", "name"), list(cells()))
def test_cell(explainer, name):
    case = ARCHITECTURES[name]()
    with audit(case.model, *case.tensors):  # other cells share it
        check_cell(explainer, case)


def check_cell(explainer, case):
    """Hold an explainer to its laws and contracts on a case, or its refusal to the truth."""
    failures = Failures(f"{explainer.__name__} on {case.name}")
    if not explainer.control:
        result = cell(explainer, case)  # its laws hold, its maps say something, or its refusal is true
        assert bool(result.refused) == bool(allowed(explainer, case.name)), "REFUSALS allows what is not refused"
        if result.refused:
            assert result.shown
            return
        assert result.findings
    if case.name in CASES and case.name not in LARGE:
        keep_contracts(failures, explainer, case, checks_at_once(case.name))
        for check in checks_on(case.name, explainer):
            failures.run(check, explainer, case)
    failures.end()


@pytest.mark.slow
@each
@pytest.mark.parametrize("name", [name for name in CASES if name not in LARGE and name != FULL])
def test_remaining_contracts(explainer, name):
    case, failures = CASES[name](), Failures(f"{explainer.__name__} on {name}")
    if reason_against(explainer, case) is None:
        keep_contracts(failures, explainer, case, [c for c in EXPLAINER_CHECKS if c not in checks_at_once(name)])
    failures.end()


@functools.cache
def fitting(explainer):
    """Return the first small case that an explainer fits."""
    return next(CASES[n]() for n in CASES if n not in LARGE and reason_against(explainer, CASES[n]()) is None)


@each
def test_declaration(explainer):
    model = CASES["skip_cnn"]().model
    check_round_trip(explainer(model), model)
    check_round_trip(explainer(model, layer=model.conv2), model)
    check_defaults(explainer)
    check_signature(explainer, COMMON_FIELDS)
    check_unknown_setting(explainer, model)
    if explainer.layer_is_site:
        at_layers.what_is_no_layer_is_refused_at_once(explainer, model)


@each
def test_an_explanation_can_be_saved_shown_and_cut(explainer, tmp_path):
    explanations.an_explanation_can_be_saved_shown_and_cut(explainer, fitting(explainer), tmp_path)


@each
@pytest.mark.parametrize(("side", "ids"), [("left", True), ("right", False)], ids=["ids", "embeddings"])
def test_padding_changes_nothing(explainer, side, ids):
    model, batch, alone, place = padded(side, ids=ids)
    fewer = settings(explainer)
    made = explainer(model, **{n: v for n, v in fewer.items() if n not in ("window", "stride")})  # of the padded length
    refusal = None if ids and explainer.__name__ == "RISE" else NOT_PADDED.get(explainer.__name__)
    if refusal or ".cam." in explainer.__module__:
        with pytest.raises((UnsuitableError, ShapeError), match=refusal):
            made.attribute(batch, [1, 1])
        return
    together, expected = made.attribute(batch, [1, 1])[1], made.attribute(alone, [1])[0]
    assert torch.allclose(together[place], expected, atol=1e-6 * float(expected.abs().max()), rtol=0)
    rest = torch.ones(7, dtype=torch.bool)
    rest[place] = False
    assert not together[rest].any()
    assert expected.any()


@pytest.mark.slow
@each
def test_many_calls_leave_what_few_leave(explainer):
    case = fitting(explainer)
    made = Subject.of_explainer(explainer, case, **settings(explainer)).make(case.model)
    check_growth(lambda: made.attribute(case.inputs, case.targets), warm=5, calls=20)


def test_names_are_unique():
    check_unique_names(Explainer)


def test_every_explainer_has_a_law_and_a_telling_case_to_show_it_on():
    for explainer in EXPLAINERS:
        assert explainer.control or laws_of(explainer), explainer
        assert reason_against(explainer, CASES[telling(explainer)]()) is None, explainer


def test_no_law_and_no_refusal_outlives_its_explainer():
    names = {explainer.__name__ for explainer in EXPLAINERS if not explainer.control}
    assert set(LAWS) <= names
    assert set(REFUSALS) <= names


def test_every_check_is_declared_for_some_case():
    assert all(module.__name__.startswith("tests.explainers.checks.") for module in MODULES)
    assert {name for e in EXPLAINERS for name in CASES if list(checks_on(name, e))} >= {"cnn", "skip_cnn", "two_inputs"}
