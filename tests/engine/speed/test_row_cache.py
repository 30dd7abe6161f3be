"""Rows that ran before are not run again, and nothing else is ever handed out for them."""

import pytest
import torch
from torch import Tensor, nn

from pnpxai.attributors import IntegratedGradients, NoiseTunnel, Saliency
from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.score import Score
from pnpxai.engine.speed.row_cache import RowMemory, remembering
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.lime import Lime
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.perturbation.rise import RISE
from tests.small import Bright, pictures

pytestmark = pytest.mark.usefixtures("double")


def _counted(net: nn.Module) -> list[int]:
    rows: list[int] = []
    net.register_forward_hook(lambda module, args, output: None if is_probe() else rows.append(len(output)))
    return rows


def _smooth(net: nn.Module, x: Tensor, n: int, kind: str = "smoothgrad") -> Tensor:
    return NoiseTunnel(Saliency(net)).attribute(
        x, nt_type=kind, nt_samples=n, stdevs=0.2, last_clean=True, seed=3, target=1, abs=False
    )


def test_more_copies_run_only_what_fewer_did_not() -> None:
    net, x = Bright(), pictures(3).double()
    expected = {n: _smooth(net, x, n) for n in (5, 9)}
    rows, memory = _counted(net), RowMemory()
    with remembering(memory):
        torch.testing.assert_close(_smooth(net, x, 9), expected[9])
        assert sum(rows) == 27
        torch.testing.assert_close(_smooth(net, x, 5), expected[5])
        assert sum(rows) == 27
        _smooth(net, x, 9, "vargrad")
        assert sum(rows) == 27
        _smooth(net, x, 12)
    assert sum(rows) == 27 + 9
    assert (memory.rows_run, memory.rows_saved) == (36, 15 + 27 + 27)
    _smooth(net, x, 5)
    assert sum(rows) == 36 + 15, "outside of the block nothing is remembered"


def test_equal_rows_of_one_pass_run_once() -> None:
    net, x = Bright(), pictures(2).double()
    rows, score = _counted(net), Score.of(net, (x,), 0)

    def points(block) -> tuple[Tensor]:  # noqa: ANN001
        return (x[block.examples.start : block.examples.stop].repeat(len(block.steps), 1, 1, 1),)

    with remembering(RowMemory()):
        found = perturbed_scores(score, points, 4, (x,))
    assert sum(rows) in (2, 8)  # the first pass may be run whole
    assert torch.equal(found, found[:, :1].expand(2, 4))


def test_targets_models_and_changed_parameters_are_told_apart() -> None:
    net, other, x = Bright(), Bright(), pictures(4).double()
    with torch.no_grad():
        other.head.weight.mul_(2.0)

    def gradient(model: nn.Module, target: object) -> Tensor:
        return Saliency(model).attribute(x, target=target, abs=False)  # type: ignore[arg-type]

    cases = [(net, 0), (net, 1), (net, torch.tensor([0, 1, 0, 1])), (other, 0)]
    expected = [gradient(*case) for case in cases]
    with remembering(RowMemory()):
        for _ in range(2):
            for case, wanted in zip(cases, expected, strict=True):
                torch.testing.assert_close(gradient(*case), wanted)
        with torch.no_grad():
            net.head.weight.mul_(3.0)
        torch.testing.assert_close(gradient(net, 0), 3 * expected[0])


def test_further_arguments_belong_to_the_row() -> None:
    class Scaled(Bright):
        def forward(self, x: Tensor, scale: Tensor) -> Tensor:
            return super().forward(x) * scale[:, None]

    net, x = Scaled(), pictures(3).double()
    with remembering(RowMemory()):
        for scale in (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 2.0, 1.0])):
            found = IntegratedGradients(net).attribute(x, target=0, additional_forward_args=scale, n_steps=4)
            plain = IntegratedGradients(Bright()).attribute(x, target=0, n_steps=4)
            torch.testing.assert_close(found, plain * scale[:, None, None, None])


class _Text(nn.Module):
    """Words, padding left out, to three classes."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.words, self.head = nn.Embedding(9, 4), nn.Linear(4, 3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draws))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        kept = attention_mask[..., None].to(self.words.weight)
        return self.head((self.words(input_ids).tanh() * kept).sum(1)).softmax(-1)


IDS = torch.tensor([[1, 2, 3, 0], [4, 5, 0, 0], [1, 2, 3, 3]])
SEEN = (IDS > 0).long()


def test_words_at_their_embedding_are_remembered_with_what_the_model_is_called_with() -> None:
    net = _Text()
    calls = [{"input_ids": IDS, "attention_mask": seen} for seen in (SEEN, torch.ones_like(SEEN))]
    expected = {(k, n): SmoothGrad(net, n_iter=n).attribute(call, 1) for k, call in enumerate(calls) for n in (6, 9)}
    rows, memory = _counted(net), RowMemory()
    with remembering(memory):
        for (k, n), wanted in expected.items():
            torch.testing.assert_close(SmoothGrad(net, n_iter=n).attribute(calls[k], 1), wanted)
    saved = 6 * 3 + 6 + 6 * 3 + 3  # the last text has no padding, so that both masks are one to it
    assert memory.rows_saved == saved
    assert memory.rows_run == 2 * (6 + 9) * 3 - saved < sum(rows), "reading the embedding runs the model too"


def test_arguments_by_keyword_are_remembered() -> None:
    net, call = _Text(), {"input_ids": IDS, "attention_mask": SEEN}
    explainer = Occlusion(net, window=1, stride=1, baseline_fn="token")
    expected = explainer.attribute(call, 0)
    rows, memory = _counted(net), RowMemory()
    with remembering(memory):
        for _ in range(2):
            torch.testing.assert_close(explainer.attribute(call, 0), expected)
    assert (sum(rows), memory.rows_saved) == (memory.rows_run, 2 * explainer.cost(call) - memory.rows_run)
    assert memory.rows_run <= explainer.cost(call)


@pytest.mark.parametrize(
    ("kind", "fewer", "more"),
    [(Lime, {"n_samples": 20}, {"n_samples": 40}), (RISE, {"n_masks": 20}, {"n_masks": 40})],
)
def test_sets_of_features_that_were_run_are_not_run_again(kind: type, fewer: dict, more: dict) -> None:
    net, x = Bright(), pictures(3).double()
    expected = kind(net, **more).attribute(x, 0, seed=1)
    rows, memory = _counted(net), RowMemory()
    with remembering(memory):
        kind(net, **fewer).attribute(x, 0, seed=1)
        torch.testing.assert_close(kind(net, **more).attribute(x, 0, seed=1), expected)
    assert memory.rows_saved >= 3 * 20
    assert sum(rows) == memory.rows_run


def test_a_function_as_target_is_told_from_others() -> None:
    def first(output: Tensor) -> Tensor:
        return output[:, 0]

    def difference(output: Tensor) -> Tensor:
        return output[:, 0] - output[:, 1]

    net, x = Bright(), pictures(3).double()
    expected = {target: Saliency(net).attribute(x, target=target, abs=False) for target in (first, difference)}
    rows = _counted(net)
    with remembering(RowMemory()):
        for target, wanted in (*expected.items(), *expected.items()):
            torch.testing.assert_close(Saliency(net).attribute(x, target=target, abs=False), wanted)
    assert sum(rows) == 6


def test_further_arguments_that_cannot_be_told_are_not_remembered() -> None:
    class Named(Bright):
        def forward(self, x: Tensor, how: object) -> Tensor:
            return super().forward(x) * how.factor  # type: ignore[attr-defined]

    class How:
        factor = 2.0

    net, x, how, memory = Named(), pictures(3).double(), How(), RowMemory()
    with remembering(memory):
        for factor in (2.0, 3.0):
            how.factor = factor
            found = Saliency(net).attribute(x, target=0, additional_forward_args=how, abs=False)
            torch.testing.assert_close(found, factor * Saliency(Bright()).attribute(x, target=0, abs=False))
    assert memory.rows_run == 2 * 3, "of the plain models"


def test_what_is_full_leaves_out_the_oldest() -> None:
    net, x = Bright(), pictures(6).double()
    memory = RowMemory(limit_bytes=3 * ((64 + 1) * 8 + 1024))
    with remembering(memory):
        Saliency(net).attribute(x, target=0)
        Saliency(net).attribute(x[3:], target=0)
        assert memory.rows_saved == 3
        Saliency(net).attribute(x[:3], target=0)
    assert (memory.rows_run, memory.rows_saved) == (9, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_kind_of_number_is_told_by_all_its_bits(dtype: torch.dtype) -> None:
    from pnpxai.engine.speed.row_cache import _fingerprints

    rows = torch.rand(64, 3, 5).to(dtype)
    changed = rows.clone()
    changed.view(torch.uint8)[:, 1, 4] ^= 1
    keys, others = _fingerprints([rows]), _fingerprints([changed])
    assert len(set(keys) | set(others)) == 128
    assert _fingerprints([rows.clone()]) == keys
