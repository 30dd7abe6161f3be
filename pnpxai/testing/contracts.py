"""Contracts that anyone's explainer or metric can be held to: inherit one in a test module, and pytest runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from pnpxai.detector import detect
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.testing import declarations, lending, measurements, randomness, results
from pnpxai.testing.answers import Answer, check_linear
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES, Case

__all__ = ["COMMON_FIELDS", "EXPLAINER_CHECKS", "METRIC_CHECKS", "ExplainerContract", "MetricContract", "fitting_cases"]

Check: TypeAlias = Callable[[Subject, Case], None]

COMMON_FIELDS = ("forward_arg_extractor", "additional_forward_arg_extractor", "layer", "n_classes")
"""What ends every explainer's signature."""

_BOTH: tuple[Check, ...] = (
    results.check_form,
    results.check_alone_as_in_a_batch,
    results.check_detached,
    results.check_layouts,
    results.check_caller_modes,
    results.check_frozen_parameters,
    results.check_target_forms,
    results.check_non_finite_inputs,
    randomness.check_same_seed,
    randomness.check_global_state,
    lending.check_nothing_left,
    lending.check_nothing_left_after_failure,
    lending.check_threads,
    lending.check_nothing_grows,
    lending.check_no_warning,
    lending.check_cost,
)

EXPLAINER_CHECKS: tuple[Check, ...] = (
    *_BOTH,
    results.check_says_something,
    results.check_dtypes,
    randomness.check_other_seed,
    lending.check_model_that_edits_its_input,
)
"""What every explainer promises on every model that it fits."""

METRIC_CHECKS: tuple[Check, ...] = (
    *_BOTH,
    measurements.check_reasons,
    measurements.check_given_maps,
    measurements.check_undefined_maps,
    measurements.check_flat_maps,
    measurements.check_function_target,
    measurements.check_precisions,
)
"""What every metric promises."""


def fitting_cases(explainer: type[Explainer]) -> list[str]:
    """Return the names of the zoo's cases that an explainer says it fits."""
    names = []
    for name, make in CASES.items():
        case = make()
        traits = None if case.layer is not None else case.traits
        if explainer.reason_against(detect(case.model), traits) is None:
            names.append(name)
    return names


class ExplainerContract:
    """What every explainer promises. Inherit it, name the explainer, and pytest runs every check on every case.

    ::

        class TestMine(ExplainerContract):
            explainer = MyExplainer
            answer = staticmethod(lambda weights, inputs: weights * inputs)
    """

    explainer: ClassVar[type[Explainer]]
    settings: ClassVar[dict[str, Any]] = {}
    """Settings to check it with, such as few samples."""
    case_names: ClassVar[tuple[str, ...] | None] = None
    """Which cases of the zoo; by default all that ``reason_against`` lets through."""
    answer: ClassVar[Answer | None] = None
    """What it must say on a linear model, (weights, inputs) -> maps, if that is known."""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Ask pytest for every check on every case."""
        if "case_name" in metafunc.fixturenames:
            chosen = self.case_names
            metafunc.parametrize("case_name", fitting_cases(self.explainer) if chosen is None else chosen)
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", EXPLAINER_CHECKS, ids=lambda check: check.__name__)

    def test_results(self, check: Check, case_name: str) -> None:
        """Every law of results, randomness and lending."""
        case = CASES[case_name]()
        check(Subject.of_explainer(self.explainer, case, **self.settings), case)

    def test_answer(self) -> None:
        """The expected answer on a linear model."""
        answer = type(self).answer
        if answer is not None:
            check_linear(Subject.of_explainer(self.explainer, CASES["mlp"](), **self.settings), answer)

    def test_settings(self) -> None:
        """The laws of declared settings."""
        model = CASES["skip_cnn"]().model
        declarations.check_round_trip(self.explainer(model, **self.settings), model)
        declarations.check_defaults(self.explainer)
        declarations.check_signature(self.explainer, COMMON_FIELDS)
        declarations.check_unknown_setting(self.explainer, model)


class MetricContract:
    """What every metric promises. Inherit it and name the metric::

    class TestMine(MetricContract):
        metric = MyMetric
    """

    metric: ClassVar[type[Metric]]
    settings: ClassVar[dict[str, Any]] = {}
    """Settings to check it with, such as few samples."""
    case_names: ClassVar[tuple[str, ...]] = ("mlp", "skip_cnn", "series")
    """Which cases of the zoo."""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Ask pytest for every check on every case."""
        if "case_name" in metafunc.fixturenames:
            metafunc.parametrize("case_name", self.case_names)
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", METRIC_CHECKS, ids=lambda check: check.__name__)

    def test_results(self, check: Check, case_name: str) -> None:
        """Every law of results, randomness and lending."""
        case = CASES[case_name]()
        check(Subject.of_metric(self.metric, case, **self.settings), case)

    def test_settings(self) -> None:
        """The laws of declared settings."""
        model = CASES["skip_cnn"]().model
        measurements.check_facts(self.metric)
        declarations.check_round_trip(self.metric(model, **self.settings), model)
        declarations.check_defaults(self.metric)
        declarations.check_unknown_setting(self.metric, model)
