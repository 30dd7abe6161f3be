import pytest
import torch
from torch import nn

from pnpxai.engine.running.gradients import gradient
from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.score import Score
from pnpxai.engine.speed.layout import in_fast_layout


class _Pictures(nn.Module):
    """Convolutions on (examples, 3, 8, 8), flattened in a way that minds how pictures lie in memory, or not."""

    def __init__(self, how):
        super().__init__()
        self.conv, self.pool, self.how, self.seen = nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), how, []

    def forward(self, x):
        if not is_probe():
            self.seen.append(x.is_contiguous(memory_format=torch.channels_last))
        return self.how(torch.relu(self.pool(self.conv(x)))).square().sum(1)


@pytest.fixture(params=["flatten", "view"])
def pictures(request):
    """Return a model, pictures, and the layouts of three passes: a model that minds is not asked again."""
    how = {"flatten": lambda x: x.flatten(1), "view": lambda x: x.view(len(x), -1)}[request.param]
    layouts = {"flatten": [True, True, True], "view": [False, False, False]}[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _Pictures(how), torch.randn(4, 3, 8, 8), layouts


def test_scores_are_computed_as_convolutions_like_it_unless_the_model_minds(pictures):
    model, x, layouts = pictures
    with torch.no_grad():
        expected = model(x)
    model.seen.clear()
    score = Score.of(model, (x,))
    found = perturbed_scores(score, lambda block: (x.repeat(len(block.steps), 1, 1, 1),), 3, (x,), at_most=1)
    assert torch.allclose(found, expected[:, None].expand(4, 3), rtol=1e-5)
    assert model.seen == layouts


def test_gradients_too_and_they_come_back_in_the_plain_layout(pictures):
    model, x, layouts = pictures
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(model(leaf).sum(), leaf)
    model.seen.clear()
    score = Score.of(model, (x,))
    for _ in range(3):
        (found,), _ = gradient(score, (x,))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert found.is_contiguous()
    assert model.seen == layouts


def test_other_inputs_stay_as_they_are():
    model, x = _Pictures(lambda x: x.flatten(1)).double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    perturbed_scores(Score.of(model, (x,)), lambda block: (x,), 1, (x,))
    gradient(Score.of(model, (x,)), (x,))
    assert model.seen == [False, False]


def test_a_models_own_error_passes_through():
    x = torch.zeros(1, 3, 8, 8)

    def fail(x):
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes do not match"):
        perturbed_scores(Score.of(_Pictures(fail), (x,)), lambda block: (x,), 1, (x,))


def test_one_channel_is_laid_out_so_that_layers_go_on_in_that_layout():
    seen = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = nn.Conv2d(1, 4, 3)
    model = nn.Sequential(conv, nn.Flatten(), nn.Linear(4 * 36, 2))
    conv.register_forward_hook(lambda module, args, output: seen.append(output))
    x = torch.arange(128.0).reshape(2, 1, 8, 8)
    for picture in (x, x.repeat(1, 1, 2, 1)[:, :, ::2], x.expand(2, 2, 8, 8)[:, :1]):
        with torch.no_grad():
            expected = model(picture.contiguous())[:, 0]
        assert not seen.pop().is_contiguous(memory_format=torch.channels_last)
        found = perturbed_scores(Score.of(model, (picture,), 0), lambda block, p=picture: (p,), 1, (picture,))
        assert torch.allclose(found[:, 0], expected, rtol=1e-5)
        assert seen.pop().is_contiguous(memory_format=torch.channels_last)


def test_large_kernels_on_small_pictures_stay_as_they_are():
    x = torch.zeros(1, 300, 8, 8)

    class Wide(_Pictures):
        def __init__(self):
            super().__init__(lambda x: x.flatten(1))
            self.conv = nn.Conv2d(300, 400, 3, padding=1)

    model = Wide()
    for pictures in (x, torch.zeros(1, 300, 160, 160)):
        score = Score.of(model, (pictures,))
        in_fast_layout(score, score, (pictures,))
    assert model.seen == [False, True]
