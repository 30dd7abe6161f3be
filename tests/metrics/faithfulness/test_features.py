"""What counts as a feature: removed whole, numbered through all inputs, without the padding, alone as in a batch."""

import pytest
import torch
from torch import Tensor, nn

from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.score import Score
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation
from pnpxai.metrics.faithfulness.features import Features
from pnpxai.metrics.faithfulness.flipping import AbPC, MoRF
from pnpxai.metrics.faithfulness.imputation import Imputer
from pnpxai.metrics.positions import position_masks
from pnpxai.metrics.sample import Sample
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.strategies.baselines import Baseline, EachBaseline, Zeros
from pnpxai.strategies.feature_masks import EachMask, FeatureMask, Grid, Patches, Positions
from pnpxai.strategies.known_features import Columns, Given
from pnpxai.strategies.superpixels import Slic
from pnpxai.strategies.token_baselines import Pad


class Watch(nn.Module):
    """Adds up all it is given, and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, ...]] = []

    def forward(self, *inputs: Tensor) -> Tensor:
        is_probe() or self.seen.append(tuple(x.clone() for x in inputs))
        return torch.stack([x.flatten(1).double().sum(1) for x in inputs]).sum(0)


def _features(
    inputs: tuple[Tensor, ...],
    mask: FeatureMask,
    maps: tuple[Tensor, ...],
    *,
    channel_dim: int | None = 1,
    counted: object = None,
    baseline: Baseline | Imputer | None = None,
) -> Features:
    arguments = Arguments(inputs)
    nothing = (None,) * len(inputs)
    sample = Sample(
        arguments,
        Score.of(Watch(), inputs),
        maps,
        RandomStream(0),
        SharedRuns(),
        channel_dim,
        (False,) * len(inputs),
        nothing if counted is None else position_masks(counted, inputs, channel_dim, "attention_mask"),
    )
    return Features.of(sample, mask, Zeros() if baseline is None else baseline)


def test_values_are_sums_over_positions_and_channels() -> None:
    x, maps = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    found = _features((x,), Patches(size=2), (maps,))
    wanted = maps.sum(1).unfold(1, 2, 2).unfold(2, 2, 2).sum((3, 4)).reshape(2, 4)
    assert found.counts == (4, 4)
    assert torch.allclose(found.values, wanted)


def test_what_is_removed_goes_in_all_channels_and_nothing_else_does() -> None:
    x = torch.rand(2, 3, 4, 4) + 1
    found = _features((x,), Grid(cells=2), (x,))
    removed = torch.tensor([[[True, False, False, False]], [[False, False, False, True]]])
    (rows,) = found.without(removed, range(2))
    wanted = x.repeat(2, 1, 1, 1)
    wanted[:2, :, :2, :2] = 0
    wanted[2:, :, 2:, 2:] = 0
    assert torch.equal(rows, wanted)


def test_channels_may_come_last() -> None:
    x = torch.rand(2, 5, 3) + 1  # (examples, tokens, embedding)
    found = _features((x,), Positions(), (x,), channel_dim=-1)
    assert torch.allclose(found.values, x.sum(-1))
    (rows,) = found.without(torch.eye(5, dtype=torch.bool)[:, None], range(1, 2))
    for step, row in enumerate(rows):
        assert torch.equal(row[step], torch.zeros(3))
        assert torch.equal(row[torch.arange(5) != step], x[1, torch.arange(5) != step])


def test_features_are_numbered_through_all_inputs() -> None:
    image, table = torch.rand(2, 1, 2, 2) + 1, torch.rand(2, 3) + 1
    found = _features((image, table), Positions(), (image, table))
    assert found.counts == (7, 7)
    assert torch.equal(found.values, torch.cat([image.flatten(1), table], 1))
    rows = found.without(torch.eye(7, dtype=torch.bool)[[1, 5], None], range(2))
    assert (rows[0] == 0).flatten(1).nonzero().tolist() == [[0, 1], [1, 1]]
    assert (rows[1] == 0).nonzero().tolist() == [[2, 1], [3, 1]]


def test_every_input_can_have_a_way_of_its_own() -> None:
    image, table = torch.rand(2, 1, 4, 4) + 1, torch.rand(2, 4) + 1
    masks = EachMask(strategies=(Grid(cells=2), Columns(groups=((0, 1), (2, 3)))))
    found = _features((image, table), masks, (image, table), baseline=EachBaseline(strategies=("zeros", "mean")))
    assert found.counts == (6, 6)
    assert torch.allclose(found.values[:, 4:], table.reshape(2, 2, 2).sum(2))
    rows = found.without(torch.eye(6, dtype=torch.bool)[[5], None], range(2))
    assert torch.equal(rows[0], image)
    assert torch.allclose(rows[1][:, 2:], table.mean(1, keepdim=True).expand(2, 2))


def test_examples_may_have_different_numbers_of_features() -> None:
    x = torch.rand(2, 6) + 1
    found = _features((x,), Given(ids=torch.tensor([[0, 0, 1, 1, 2, 2], [4, 4, 4, 4, 9, 9]])), (x,))
    assert found.counts == (3, 2)
    assert found.exist.tolist() == [[True, True, True], [True, True, False]]
    assert torch.allclose(found.values[1], torch.stack([x[1, :4].sum(), x[1, 4:].sum(), torch.zeros(())]))
    (rows,) = found.without(torch.tensor([[[False, True, True]]]), range(2))
    assert (rows == 0).tolist() == [[False, False, True, True, True, True], [False, False, False, False, True, True]]


def test_padding_is_no_feature_and_never_goes() -> None:
    ids = torch.tensor([[5, 6, 7, 0], [5, 6, 0, 0]])
    maps = torch.tensor([[1.0, 2, 3, 9], [1, 2, 9, 9]])
    found = _features(
        (ids,), Positions(), (maps,), counted=torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]), baseline=Pad(token_id=3)
    )
    assert found.counts == (3, 2)
    assert found.values.tolist() == [[1, 2, 3], [1, 2, 0]]
    (rows,) = found.without(torch.ones(1, 1, 3, dtype=torch.bool), range(2))
    assert rows.tolist() == [[3, 3, 3, 0], [3, 3, 0, 0]]


class Tokens(nn.Module):
    """Embeds ids; what is masked from attention has no say."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.embedding = nn.Embedding(10, 3).double()
            self.head = nn.Linear(3, 2).double()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        seen = self.embedding(input_ids) * attention_mask[..., None]
        return {"logits": self.head(torch.tanh(seen).sum(1))}


@pytest.mark.parametrize("metric", [AbPC, FaithfulnessCorrelation])
def test_a_padded_text_gets_what_it_gets_without_padding(metric: type) -> None:
    model, maps = Tokens(), torch.tensor([[0.3, -1.0, 2.0, 0.5]], dtype=torch.float64)
    short = {"input_ids": torch.tensor([[4, 5, 6, 7]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    padded = {
        "input_ids": torch.tensor([[4, 5, 6, 7, 0, 0], [1, 2, 3, 4, 5, 6]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]),
    }
    wide = torch.cat([torch.cat([maps, torch.tensor([[99.0, -99.0]])], 1), torch.randn(1, 6)])
    judge = metric(model, baseline_fn=Pad(token_id=1))
    assert judge.evaluate(padded, 1, wide)[0].item() == pytest.approx(judge.evaluate(short, 1, maps)[0].item())
    given = judge.evaluate(padded, 1, wide, attention_mask=torch.ones(2, 6))
    assert given[0].item() != pytest.approx(judge.evaluate(short, 1, maps)[0].item())


@pytest.mark.parametrize("metric", [AbPC, FaithfulnessCorrelation])
def test_segments_of_an_example_do_not_depend_on_its_batch_mates(metric: type) -> None:
    generator = torch.Generator().manual_seed(0)
    smooth = nn.functional.interpolate(torch.rand(3, 3, 5, 5, generator=generator), 32, mode="bilinear").double()
    smooth[1] *= torch.linspace(0, 1, 32)
    maps = torch.randn(3, 1, 32, 32, dtype=torch.float64, generator=generator)
    model = nn.Sequential(nn.Conv2d(3, 2, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    judge = metric(model, feature_mask_fn=Slic(n_segments=20))
    counts = [len(Slic(n_segments=20)(smooth[k : k + 1], 1).unique()) for k in range(3)]
    assert len(set(counts)) > 1
    whole = judge.evaluate(smooth, 1, maps)
    for k in range(3):
        assert judge.evaluate(smooth[k : k + 1], 1, maps[k : k + 1])[0].item() == pytest.approx(whole[k].item())


def test_what_does_not_fit_is_refused() -> None:
    x = torch.rand(2, 1, 4, 4)
    judge = MoRF(Watch())
    with pytest.raises(ShapeError, match=r"attention_mask: expected shape \(2, 4, 4\)"):
        judge.measure(x, None, x, attention_mask=torch.ones(2, 4))
    with pytest.raises(ArgumentError, match="attention_mask: expected truth values, or 0 and 1"):
        judge.measure(x, None, x, attention_mask=torch.full((2, 4, 4), 0.5))
    with pytest.raises(ArgumentError, match="attention_mask: expected one for each of 1 inputs, got 2"):
        judge.measure(x, None, x, attention_mask=(torch.ones(2, 4, 4), None))
    with pytest.raises(ShapeError, match="attributions: expected one for each of 1 inputs, got 2"):
        judge.measure(x, None, (x, x))
    with pytest.raises(ArgumentError, match="channel_dim: expected an axis"):
        MoRF(Watch(), channel_dim=7).measure(x, None, x)
