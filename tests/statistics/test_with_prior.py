"""The rule that adds a prior: its formula by hand, controls that are beaten by the measure alone, and what it says."""

import math

import numpy as np
import pytest

from pnpxai.statistics import MeanRank, WithPrior, default_rule
from pnpxai.statistics.prior import PRIOR, worth_of
from pnpxai.statistics.reliability import reliability
from pnpxai.traits import Traits

METRIC = "MultiScaleCorrelation"
UP = {METRIC: True}
N = 30


def _values(**means: float) -> dict[str, dict[str, list[float]]]:
    rng = np.random.default_rng(3)
    return {METRIC: {label: (mean + 0.02 * rng.normal(size=N)).tolist() for label, mean in means.items()}}


def test_the_order_is_that_of_the_measure_plus_the_weighted_prior() -> None:
    ahead = PRIOR["image"]["MultiScaleOcclusion"] - PRIOR["image"]["Lime"]
    step = 1.2 * (1 + 0.9 / N) * ahead
    for lead, first in ((step - 0.1, "MultiScaleOcclusion"), (step + 0.1, "Lime")):
        values = _values(Lime=lead, MultiScaleOcclusion=0.0)
        assert WithPrior(kind="image").decide(values, UP).best == first
        by_measure = WithPrior(kind="image", weight=0.0).decide(values, UP)
        assert (by_measure.best, by_measure.prior, by_measure.reliability) == ("Lime", None, None)
    assert WithPrior(kind="image").decide({METRIC: {"Lime (n=3)": [1.0] * 6, "Lime": [0.0] * 6}}, UP).first is not None


def test_controls_are_to_be_beaten_by_the_measure_alone() -> None:
    values = _values(MultiScaleOcclusion=0.0, Occlusion=0.0, RandomMap=0.0)
    nothing = WithPrior(kind="image").decide(values, UP, ("RandomMap",))
    assert nothing.best is None
    assert nothing.sentence().startswith("No explainer is shown by MultiScaleCorrelation to do better than maps")
    good = WithPrior(kind="image").decide(_values(Occlusion=0.4, RandomMap=0.0), UP, ("RandomMap",))
    assert good.set == ("Occlusion",)


def test_what_is_unknown_is_as_good_as_the_middle_and_of_other_kinds_as_good_as_on_average() -> None:
    assert worth_of("text", "Mine") == np.median(list(PRIOR["text"].values()))
    known = {name for of in PRIOR.values() for name in of}
    assert {"Ensemble", "Occlusion", "RISE", "MultiScaleOcclusion"} <= known
    assert (
        worth_of("volume", "Lime")
        == worth_of(None, "Lime")
        == pytest.approx(sum(of["Lime"] for of in PRIOR.values()) / 5)
    )
    of_two = PRIOR["image"]["ScoreCAM"] + PRIOR["series"]["ScoreCAM"]
    assert worth_of("volume", "ScoreCAM") == pytest.approx(of_two / 2)
    assert worth_of("volume", "Mine") == np.median([worth_of("volume", name) for name in known])
    step = 1.2 * (1 + 0.9 / N) * (worth_of("volume", "RISE") - worth_of("volume", "Lime"))
    for lead, first in ((step - 0.1, "RISE"), (step + 0.1, "Lime")):
        of_volumes = WithPrior(kind="volume").decide(_values(Lime=lead, RISE=0.0), UP)
        assert (of_volumes.best, of_volumes.prior, of_volumes.reliability) == (first, "other", None)
        assert f"{first} ranks first by {METRIC} and by what did well on other problems with" in of_volumes.sentence()


def test_without_its_metric_mean_ranks_decide() -> None:
    values = {"AbPC": {"a": [1.0] * 8, "b": [0.0] * 8}}
    assert WithPrior(kind="image").decide(values, {"AbPC": True}) == MeanRank().decide(values, {"AbPC": True})


def test_a_verdict_says_what_one_like_it_was_worth() -> None:
    decision = WithPrior(kind="series").decide(_values(Occlusion=0.9, Gradient=0.1), UP)
    assert decision.reliability == pytest.approx(1 / (1 + math.exp(0.353 - 1 - 0.0693 * 20)))
    against = WithPrior(kind="series").decide(_values(Occlusion=0.5, Gradient=0.6), UP)
    assert against.best == "Occlusion"
    assert against.reliability == pytest.approx(1 / (1 + math.exp(0.353 - 0.0693 * 20)))
    assert decision.sentence() == (
        "Occlusion ranks first by MultiScaleCorrelation and by what did well on series problems with known evidence, "
        f"ahead of all others, 95 % sure. This holds for this model and these {N} examples. In 9 of 10 such problems, "
        "the first of a verdict like this was about as good as the best."
    )
    assert reliability(np.array([0.3]), agrees=True) is None
    sure, unsure = (reliability(np.array(v), agrees=False) for v in ([0.5, 0.5], [0.9, -0.3]))
    assert sure is not None
    assert unsure is not None
    assert sure > unsure


def test_the_default_rule_goes_by_what_decides_and_by_the_kind_of_data() -> None:
    assert default_rule(Traits.table()) == WithPrior(kind="table")
    assert default_rule(Traits.table(), ("AbPC",)) == MeanRank(metrics=("AbPC",))
    assert default_rule(Traits("image", 1, 2, others=(Traits.text(),))) == WithPrior()
    assert WithPrior.from_dict(WithPrior(kind="text").to_dict()) == WithPrior(kind="text")
