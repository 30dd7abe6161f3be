"""The correlation over several scales: known answers, SensitivityN on one scale, what stands in, and the log odds."""

import pytest
import torch
from torch import Tensor, nn

from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ShapeError
from pnpxai.examples import Examples
from pnpxai.metrics import AbPC, MultiScaleCorrelation, SensitivityN
from pnpxai.metrics.faithfulness.elsewhere import Elsewhere
from pnpxai.metrics.faithfulness.log_odds import log_odds
from pnpxai.metrics.faithfulness.scales import suited_to_data
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.strategies import Background, Patches
from pnpxai.traits import Traits


@pytest.fixture
def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(256, 3)).double()


def _pictures(n: int = 3) -> Tensor:
    return torch.rand(n, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1


def test_the_contributions_of_a_linear_model_are_perfect_at_every_scale(net: nn.Module) -> None:
    x = _pictures()
    right = x * net[1].weight[1].reshape(1, 1, 16, 16)
    metric = MultiScaleCorrelation(net, elsewhere_fn=None, prob_fn=None)
    found = metric.measure(x, 1, right)
    assert found.curves["correlations"].shape == (3, 9)  # blocks of 1, 2 and 4 pixels, three sizes each
    torch.testing.assert_close(found.values, torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(metric.evaluate(x, 1, -right), -torch.ones(3, dtype=torch.float64))
    assert metric.evaluate(x, 1, 0 * right).tolist() == [0, 0, 0]
    both = MultiScaleCorrelation(net, prob_fn=None).measure(x, 1, right)
    assert both.curves["correlations"].shape == (3, 18)
    assert (both.values > 0.5).all()  # what stands in is drawn, and moves the score too


def test_on_one_scale_it_is_sensitivity_n(net: nn.Module) -> None:
    x, maps = _pictures(), _pictures() - 0.6
    same = {"feature_mask_fn": Patches(size=2), "baseline_fn": "zeros", "n_runs": 12, "fractions": (0.2, 0.5)}
    curved = nn.Sequential(net, nn.Tanh()).double()
    one = MultiScaleCorrelation(curved, prob_fn=None, elsewhere_fn=None, **same).evaluate(x, 1, maps)  # type: ignore[arg-type]
    torch.testing.assert_close(one, SensitivityN(curved, **same).evaluate(x, 1, maps))  # type: ignore[arg-type]


def test_one_design_serves_every_map_and_columns_have_one_scale() -> None:
    x = torch.rand(4, 10)
    model = nn.Linear(10, 3)
    metric, shared = MultiScaleCorrelation(model, n_runs=5), SharedRuns()
    metric.measure(x, 0, x, shared=shared)
    assert metric.cost(x) == shared.rows_run == 4 * 2 * (3 * 5 + 1)
    metric.measure(x, 0, -x, shared=shared)
    assert shared.rows_saved == shared.rows_run


def test_log_odds_are_of_a_class_against_all_others() -> None:
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 3
    p = z.softmax(1)
    torch.testing.assert_close(log_odds(z), (p / (1 - p)).log())
    torch.testing.assert_close(log_odds(p), (p / (1 - p)).log())
    large = torch.tensor([[200.0, 0.0, 0.0]])
    assert log_odds(large)[0, 0] == pytest.approx(200 - torch.tensor(2.0).log().item())
    single = torch.randn(3, 1)
    assert torch.equal(log_odds(single), single)


def test_what_stands_in_comes_from_elsewhere_in_the_example_or_from_rows() -> None:
    x = torch.arange(24.0).reshape(2, 1, 12)
    stream = RandomStream(0, ("a", "b"))
    gone = torch.zeros(5, 2, 1, 12, dtype=torch.bool)
    for step in range(5):
        gone[step, :, :, step : step + 4] = True
    filled = Elsewhere().on(x, 1, stream)(gone, range(2))
    assert torch.equal(filled[~gone], x.expand(5, 2, 1, 12)[~gone])
    assert (filled[gone] != x.expand(5, 2, 1, 12)[gone]).all()  # moved by at least one position
    assert all(set(filled[:, e].flatten().tolist()) <= set(x[e].flatten().tolist()) for e in range(2))
    alone = Elsewhere().on(x[1:], 1, stream.take([1]))(gone[2:4, 1:], range(1))
    assert torch.equal(alone, filled[2:4, 1:])
    rows = torch.full((3, 1, 12), 100.0) + torch.arange(3.0)[:, None, None]
    drawn = Elsewhere(rows).on(x, 1, stream)(gone, range(2))
    assert set(drawn[gone].tolist()) == {100.0, 101.0, 102.0}
    ids = Elsewhere().on(torch.arange(12)[None], None, RandomStream(0))(gone[:, :1, 0], range(1))
    assert ids.dtype == torch.int64
    columns = Elsewhere().on(torch.ones(2, 12), None, stream)(gone[:, :, 0], range(2))
    assert not columns[gone[:, :, 0]].any()
    with pytest.raises(ShapeError, match="Elsewhere: examples: expected rows of shape"):
        Elsewhere(torch.zeros(3, 5)).on(x, 1, stream)


def test_tables_draw_from_their_rows_unless_a_background_is_given() -> None:
    x = torch.rand(6, 4)
    examples, table = Examples.of([(x, None, None)]), Traits.table()
    model = nn.Linear(4, 2)
    metrics = {"mine": MultiScaleCorrelation(model), "AbPC": AbPC(model)}
    found = suited_to_data(metrics, examples, table)
    assert isinstance(found["mine"], MultiScaleCorrelation)
    assert torch.equal(found["mine"].elsewhere_fn.examples, x)  # type: ignore[union-attr]
    assert found["AbPC"] is metrics["AbPC"]
    mean = {"m": MultiScaleCorrelation(model, baseline_fn=Background(x.mean(0, keepdim=True)))}
    assert suited_to_data(mean, examples, table) != mean
    for own in ({"baseline_fn": Background(x[:3])}, {"elsewhere_fn": Elsewhere(x[:2])}, {"elsewhere_fn": None}):
        given = {"m": MultiScaleCorrelation(model, **own)}
        assert suited_to_data(given, examples, table) == given
    assert suited_to_data(metrics, examples, Traits.series()) == metrics


def test_of_few_edges_of_a_graph_few_are_removed_at_a_time() -> None:
    edges = (torch.arange(40) % 10 == 0).float().expand(6, 40)
    graph, model = Traits("graph", None, 1), nn.Linear(40, 2)

    def sizes(x: Tensor, traits: Traits, metric: MultiScaleCorrelation) -> tuple[float, ...]:
        found = suited_to_data({"m": metric}, Examples.of([(x, None, None)]), traits)["m"]
        assert isinstance(found, MultiScaleCorrelation)
        assert torch.equal(found.elsewhere_fn.examples, x)  # type: ignore[union-attr]
        return found.fractions

    usual, own = MultiScaleCorrelation(model), MultiScaleCorrelation(model, fractions=(0.5,))
    assert max(sizes(edges, graph, usual)) == 0.1
    assert sizes(edges + 1, graph, usual) == sizes(edges, Traits.table(), usual) == (0.1, 0.3, 0.6)
    assert sizes(edges, graph, own) == (0.5,)
