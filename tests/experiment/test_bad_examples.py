"""An example on which the model fails, or whose label is missing, costs its own cells alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from pnpxai import AutoExplanation
from pnpxai.experiment import Results, compare
from pnpxai.traits import Traits

GOOD, BAD = 11, 5


class Picky(nn.Module):
    """A network that fails on inputs that start with a number above 100."""

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.way = way
        self.net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        bad = x[:, 0] > 100
        if bad.any() and self.way == "raises":
            raise RuntimeError("a sensor is broken")
        return self.net(x).masked_fill(bad[:, None], float("nan"))


def _data(row: int = BAD) -> Tensor:
    x = torch.randn(GOOD + 1, 6, generator=torch.Generator().manual_seed(2))
    x[row, 0] = 1000.0
    return x


def _compared(way: str, data: object, **options: object) -> Results:
    given = {"traits": Traits.table(), "show_progress": False} | options
    return compare(Picky(way).eval(), data, ["Gradient", "IntegratedGradients"], ["AbPC", "Complexity"], **given)  # type: ignore[arg-type]


def _defined(table: pd.DataFrame) -> dict[int, bool]:
    of_each = table[table["explainer"] != "RandomMap"].groupby("example")["value"]
    return of_each.agg(lambda values: bool(np.isfinite(values).all())).to_dict()


@pytest.mark.parametrize("way", ["raises", "nan"])
@pytest.mark.parametrize("predicted", [True, False])
def test_it_costs_its_own_cells(way: str, predicted: bool, tmp_path: Path) -> None:
    x = _data()
    data = x if predicted else (x, torch.arange(12) % 3)
    options = {} if predicted else {"target_labels": True}
    from pnpxai.experiment import Stream

    stream = Stream.of(data, **options)  # type: ignore[arg-type]
    results = _compared(way, stream, folder=tmp_path / "run")
    assert _defined(results.table) == {k: k != BAD for k in range(12)}
    reasons = results.table[results.table["example"] == BAD]["reason"]
    assert reasons[results.table["explainer"] == "Gradient"].str.contains("sensor is broken|NaN|nan|finite").all()
    again = _compared(way, stream, folder=tmp_path / "run")
    pd.testing.assert_frame_equal(results.table, again.table)


@pytest.mark.parametrize("way", ["raises", "nan"])
def test_other_values_are_as_without_it(way: str) -> None:
    x = _data()
    rest = torch.cat([x[:BAD], x[BAD + 1 :]])
    with_bad, without = _compared(way, x), _compared(way, rest)
    for explainer in ("Gradient", "IntegratedGradients"):
        own = np.delete(with_bad.values("AbPC", explainer), BAD)
        np.testing.assert_allclose(own, without.values("AbPC", explainer), rtol=1e-4, atol=1e-5)


def test_a_later_batch_of_which_all_fail() -> None:
    x = _data()
    x[8:] = 1000.0
    loader = DataLoader(TensorDataset(x), batch_size=4)
    results = _compared("raises", loader)
    assert _defined(results.table) == {k: k not in (BAD, 8, 9, 10, 11) for k in range(12)}


def test_a_model_that_fails_on_all_says_so() -> None:
    with pytest.raises(RuntimeError, match="a sensor is broken"):
        _compared("raises", torch.full((4, 6), 1000.0))


@pytest.mark.parametrize("way", ["raises", "nan"])
def test_the_steps_of_a_user_bear_it(way: str) -> None:
    auto = AutoExplanation(Picky(way).eval(), _data(), modality="table")
    for metrics in (["AbPC"], None):
        results = auto.compare(["Gradient", "Occlusion"], metrics, show_progress=False)
        assert _defined(results.table) == {k: k != BAD for k in range(12)}
    tuned = auto.tune("SmoothGrad", "AbPC", n_trials=4, show_progress=False)
    assert tuned.trials == 4
    assert tuned.refused == 0
    ranking = auto.rank(["Gradient", "Occlusion"], n_trials=2, show_progress=False)
    assert not ranking.failed


@pytest.mark.parametrize("labels", [[0.0, 2.0, float("nan"), 1.0], [0, 2, None, 1]])
def test_an_example_without_a_label_is_named(labels: list) -> None:
    x = _data()[:4]
    batches = [(x, torch.tensor(labels) if None not in labels else labels)]
    from pnpxai.experiment import Stream

    results = _compared("nan", Stream.of(batches, target_labels=True))
    gradient = results.table[(results.table["explainer"] == "Gradient") & (results.table["metric"] == "AbPC")]
    assert gradient["target"].tolist() == [0, 2, -1, 1]
    assert gradient["label"].tolist() == [0, 2, -1, 1]
    assert gradient["reason"].tolist()[2] == "target: this example has no label"
    assert np.isfinite(gradient["value"]).tolist() == [True, True, False, True]
