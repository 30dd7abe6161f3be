"""Contracts that anyone's explainer, metric, strategy or modality can be held to: inherit one, and pytest runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import torch
from torch import Tensor

from pnpxai.declare.marks import Settings
from pnpxai.detector import detect
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.modalities import Modality
from pnpxai.model_types import Model
from pnpxai.strategies.base import Strategy
from pnpxai.testing import declarations, lending, measurements, modalities, randomness, results, strategies
from pnpxai.testing.answers import Answer, check_linear
from pnpxai.testing.modalities import ModalityCase
from pnpxai.testing.strategies import StrategyCall
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES, Case

if TYPE_CHECKING:
    import pytest

__all__ = [
    "COMMON_FIELDS",
    "EXPLAINER_CHECKS",
    "METRIC_CHECKS",
    "MODALITY_CHECKS",
    "STRATEGY_CHECKS",
    "ExplainerContract",
    "MetricContract",
    "ModalityContract",
    "StrategyContract",
    "fitting_cases",
]

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


STRATEGY_CHECKS: tuple[Callable[[StrategyCall], None], ...] = (
    strategies.check_found_by_name,
    strategies.check_form,
    strategies.check_alone,
    strategies.check_dtype,
    strategies.check_edits_nothing,
    strategies.check_repeats,
)
"""What every baseline, feature mask, pooling and normalisation promises."""

MODALITY_CHECKS: tuple[Callable[[ModalityCase], None], ...] = (
    modalities.check_traits,
    modalities.check_recognised,
    modalities.check_defaults_suit,
    modalities.check_drawn,
    modalities.check_explained,
)
"""What every kind of data promises."""


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
    settings: ClassVar[Settings] = {}
    """Settings to check it with, such as few samples."""
    case_names: ClassVar[tuple[str, ...] | None] = None
    """Which cases of the zoo; by default all that ``reason_against`` lets through."""
    answer: ClassVar[Answer | None] = None
    """What it must say on a linear model, (weights, inputs) -> maps, if that is known."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
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
    settings: ClassVar[Settings] = {}
    """Settings to check it with, such as few samples."""
    case_names: ClassVar[tuple[str, ...]] = ("mlp", "skip_cnn", "series")
    """Which cases of the zoo."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
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


class StrategyContract:
    """What every baseline, feature mask, pooling and normalisation promises. Inherit it and name the strategy::

    class TestMine(StrategyContract):
        strategy = MyBaseline
    """

    strategy: ClassVar[type[Strategy]]
    settings: ClassVar[Settings] = {}
    """Settings to check it with, such as the data that it holds."""
    values: ClassVar[Tensor] = torch.randn(3, 2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    """A batch that it suits."""
    channel_dim: ClassVar[int | None] = 1
    """The axis of channels of the batch; None without."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Ask pytest for every check."""
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", STRATEGY_CHECKS, ids=lambda check: check.__name__)

    def test_results(self, check: Callable[[StrategyCall], None]) -> None:
        """Every law of what it gives."""
        check(StrategyCall(self.strategy(**self.settings), self.values, self.channel_dim))

    def test_settings(self) -> None:
        """The laws of declared settings."""
        declarations.check_round_trip(self.strategy(**self.settings))
        declarations.check_defaults(self.strategy)
        declarations.check_signature(self.strategy)
        declarations.check_unknown_setting(self.strategy, **self.settings)


class ModalityContract:
    """What every kind of data promises. Inherit it, and give the modality, a model of such data and a batch::

    class TestMine(ModalityContract):
        modality = MyModality()
        model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.Flatten(), nn.Linear(128, 3))
        values = torch.randn(2, 1, 6, 6, 6)
    """

    modality: ClassVar[Modality]
    model: ClassVar[Model]
    """A model of such data, with several outputs."""
    values: ClassVar[Tensor]
    """(examples, ...) its input."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Ask pytest for every check."""
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", MODALITY_CHECKS, ids=lambda check: check.__name__)

    def test_data(self, check: Callable[[ModalityCase], None]) -> None:
        """Every law of what it states."""
        check(ModalityCase(self.modality, self.model, self.values))

    def test_settings(self) -> None:
        """The laws of declared settings."""
        declarations.check_round_trip(self.modality)
        declarations.check_defaults(type(self.modality))
        declarations.check_unknown_setting(type(self.modality))
