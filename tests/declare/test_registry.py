"""Classes are found by what they are."""

from __future__ import annotations

import pytest

from pnpxai.declare.registry import by_name, every, qualified_name
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.strategies.base import Strategy
from pnpxai.strategies.baselines import Baseline, Zeros
from pnpxai.testing.declarations import check_unique_names


def test_every_finds_the_final_classes_only():
    names = [cls.__name__ for cls in every(Explainer, within="pnpxai.")]
    assert {"Gradient", "SmoothGrad", "GradCam", "RandomMap"} <= set(names)
    assert not {"Explainer", "NoisyGradient", "CompositeLRP"} & set(names)
    assert names == sorted(names)


def test_within_leaves_out_what_others_define():
    class Toy(Baseline):
        name = "toy_of_registry"

        def __call__(self, values):
            return values

    assert Toy in every(Baseline)
    assert Toy not in every(Baseline, within="pnpxai.")


def test_of_a_class_that_was_defined_again_the_last_definition_is_found():
    def define():
        class Again(Baseline):
            name = "again_of_registry"

            def __call__(self, values):
                return values

        return Again

    first, second = define(), define()
    assert first is not second
    assert [cls for cls in every(Baseline) if cls.__name__ == "Again"] == [second]
    assert by_name(Baseline, "again_of_registry", "baseline_fn") is second


@pytest.mark.parametrize("base", [Explainer, *Strategy.__subclasses__()], ids=lambda base: base.__name__)
def test_names_are_unique(base):
    check_unique_names(base)


@pytest.mark.parametrize("name", ["zeros", "Zeros", "pnpxai.strategies.baselines:Zeros"])
def test_by_name_takes_short_class_and_qualified_names(name):
    assert by_name(Baseline, name, "baseline_fn") is Zeros


def test_by_name_takes_aliases():
    assert by_name(Explainer, "GradCAM", "explainer").__name__ == "GradCam"


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ArgumentError, match="baseline_fn: no baseline 'zero'; did you mean 'zeros'?"):
        by_name(Baseline, "zero", "baseline_fn")


def test_qualified_name():
    assert qualified_name(Zeros) == "pnpxai.strategies.baselines:Zeros"
