"""A ranking says how sure it is, what it cost and what was left out; it is saved and comes back equal."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.metrics.evaluation import evaluate
from pnpxai.metrics.faithfulness.elsewhere import Elsewhere
from pnpxai.metrics.faithfulness.scales import MultiScaleCorrelation
from pnpxai.recommender import Ranking, rank
from pnpxai.traits import Traits
from pnpxai.tuning import tune
from tests.small import Bright, examples


@cache
def _ranked() -> tuple[Bright, Ranking]:
    net = Bright()
    names = ["Gradient", "GradientXInput", "Occlusion", "VarGrad", "SmoothGrad"]
    found = rank(net, examples(net, 32), Traits.image(), explainers=names, budget="40 trials", show_progress=False)
    return net, found


def test_the_verdict_is_made_where_nothing_was_tuned() -> None:
    _, ranking = _ranked()
    assert ranking.decision.n == 16
    assert ranking.trials >= 40
    assert ranking.best.label in ("GradientXInput", "Occlusion")
    for name in ("RandomMap", "InputOnly"):
        assert ranking.decision.dropped[name] == "a control"
    assert set(ranking.means) == {"MultiScaleCorrelation"}
    assert all(result.gain.n == 16 for result in ranking.tuned.values())
    assert ranking.rows_saved == ranking.rows.separate - ranking.rows.used > 0


def test_it_prints_as_a_table_that_a_person_can_read() -> None:
    _, ranking = _ranked()
    text = str(ranking)
    sentence, *tables, notes = text.split("\n\n")
    assert sentence.replace("\n", " ") == ranking.decision.sentence()
    assert max(map(len, text.splitlines())) <= 80
    told: dict[str, str] = {}
    for line in (line for table in tables for line in table.splitlines()):
        label, _, rest = line.partition(" ")
        told[label] = f"{told.get(label, '')}  {rest}"
    assert [label for label in told if label in ranking.decision.mean_rank] == list(ranking.table().explainer)
    for row in ranking.table().to_dict("records"):
        label = row.pop("explainer")
        assert all(cell in told[label] for cell in row.values()), label
    assert "trials in" in notes
    assert "rows instead of" in " ".join(notes.split())


def test_it_is_saved_and_comes_back_equal(tmp_path: Path) -> None:
    net, ranking = _ranked()
    path = ranking.save(tmp_path / "ranking.json")
    again = Ranking.load(path, net)
    assert again == ranking
    assert str(again) == str(ranking)
    assert again.best.explainer.model is net
    assert [p.name for p in tmp_path.iterdir()] == ["ranking.json"]


def test_loading_executes_nothing(tmp_path: Path) -> None:
    net, ranking = _ranked()
    data = json.loads(ranking.save(tmp_path / "ranking.json").read_text())
    label = next(iter(data["tuned"]))
    data["tuned"][label]["explainer"]["type"] = "os:system"
    with pytest.raises(ArgumentError, match="no class 'os:system' is loaded"):
        Ranking.from_dict(data, net)
    with pytest.raises(ArgumentError, match="expected a ranking"):
        Ranking.from_dict({}, net)


def test_the_same_seed_gives_the_same_ranking() -> None:
    def ranked() -> Ranking:
        return rank(
            Bright(), examples(Bright(), 16), Traits.image(), explainers=["SmoothGrad", "Occlusion"],
            budget="10 trials", seed=2, show_progress=False,
        )  # fmt: skip

    assert ranked() == ranked()


def test_of_a_table_rankings_searches_and_limits_draw_removed_values_from_its_rows() -> None:
    x = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) + 1
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    data, name = Examples.of([(x, torch.arange(8) % 2, None)]), "MultiScaleCorrelation"
    options: dict[str, Any] = {"n_trials": 1, "show_progress": False}
    ranked = rank(net, data, Traits.table(), explainers=["Gradient"], metric=name, deciding=["AbPC"], **options)
    limited = options | {"traits": Traits.table(), "limits": {MultiScaleCorrelation: -1.0}, "n_seeds": 0}
    searched = tune(Gradient(net), data, "AbPC", **limited)
    tuned = tune(Gradient(net), data, name, **limited)
    part, _ = data.split(0.5, 0)
    by_rows, by_none = (
        evaluate(tuned.best, metric, part).array().mean()
        for metric in (MultiScaleCorrelation(net, elsewhere_fn=Elsewhere(x)), MultiScaleCorrelation(net))
    )
    assert by_rows != pytest.approx(by_none)
    for value in (ranked.tuned["Gradient"].value, tuned.value, searched.limits[0].value):
        assert value == pytest.approx(by_rows)


def test_what_cannot_be_ranked_is_refused() -> None:
    net = Bright()
    for options, message in (
        ({"budget": "soon"}, "budget: expected a time"),
        ({"explainers": []}, "explainers: none fits"),
        ({"deciding": ()}, "deciding: expected at least one metric"),
        ({"deciding": ("AbCP",)}, "did you mean 'AbPC'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            rank(net, examples(net), Traits.image(), show_progress=False, **options)  # type: ignore[arg-type]
