"""What stands in: the linear imputer against an exact sparse solution, and what each refuses."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError, UnsuitableError
from pnpxai.metrics.faithfulness.flipping import MoRF
from pnpxai.metrics.faithfulness.imputation import Blurred, Constant, Imputer, Linear, filling
from pnpxai.strategies.baselines import Baseline, Mean, Zeros


def exact(picture: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Solve the equations of Rong et al.: neighbours beside count 1/6, those at corners 1/12, at the border fewer."""
    height, width = picture.shape
    number = -np.ones_like(gone, dtype=int)
    number[gone] = np.arange(gone.sum())
    system = scipy.sparse.lil_matrix((gone.sum(), gone.sum()))
    right = np.zeros(gone.sum())
    for y, x in zip(*np.nonzero(gone), strict=True):
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                inside = 0 <= y + dy < height and 0 <= x + dx < width
                if (dy, dx) == (0, 0) or not inside:
                    continue
                weight = 1 / 6 if 0 in (dy, dx) else 1 / 12
                system[number[y, x], number[y, x]] += weight
                if gone[y + dy, x + dx]:
                    system[number[y, x], number[y + dy, x + dx]] -= weight
                else:
                    right[number[y, x]] += weight * picture[y + dy, x + dx]
    solved = picture.copy()
    solved[gone] = scipy.sparse.linalg.spsolve(system.tocsc(), right)
    return solved


def _filled(by: Baseline | Imputer, x: Tensor, gone: Tensor, axis: int | None = 1) -> Tensor:
    """Fill (examples, ...) where (examples, ...) positions of one channel are gone."""
    return filling(by, x, axis, RandomStream(0))(gone[None], range(len(x)))[0]


def _pictures() -> Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 3, 32), torch.linspace(0, 2, 32), indexing="ij")
    smooth = torch.stack([torch.sin(x + y), torch.cos(2 * y) * x])
    noise = 0.1 * torch.randn(2, 32, 32, generator=torch.Generator().manual_seed(0))
    return (smooth + noise).double()[:, None]


@pytest.mark.parametrize(("share", "tolerance"), [(0.3, 1e-3), (0.7, 1e-2), (0.95, 5e-2)])
def test_scattered_holes_are_filled_as_by_an_exact_solution(share: float, tolerance: float) -> None:
    x = _pictures()
    gone = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(1)) < share
    found = _filled(Linear(noise=0.0), x, gone)
    for picture, mask, mine in zip(x, gone, found, strict=True):
        wanted = exact(picture[0].numpy(), mask[0].numpy())
        assert np.abs(mine[0].numpy() - wanted).max() < tolerance * np.ptp(picture.numpy())


def test_a_large_hole_is_filled_as_by_an_exact_solution() -> None:
    x = _pictures()
    gone = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    gone[:, :, 4:28, 0:20] = True
    for n_iter, tolerance in ((60, 0.02), (1000, 1e-3)):
        found = _filled(Linear(noise=0.0, n_iter=n_iter), x, gone)
        for picture, mask, mine in zip(x, gone, found, strict=True):
            wanted = exact(picture[0].numpy(), mask[0].numpy())
            assert np.abs(mine[0].numpy() - wanted).max() < tolerance * np.ptp(picture.numpy())


def test_each_example_and_step_is_filled_by_itself() -> None:
    x = _pictures().repeat(1, 3, 1, 1) * torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64).reshape(1, 3, 1, 1)
    gone = torch.rand(3, 2, 1, 32, 32, generator=torch.Generator().manual_seed(2)) < 0.5
    together = filling(Linear(), x, 1, RandomStream(0))(gone, range(2))
    for example in range(2):
        for step in range(3):
            alone = _filled(Linear(), x[example : example + 1], gone[step, example : example + 1])
            assert torch.allclose(alone[0], together[step, example])


def test_between_two_steps_of_a_series_lies_a_straight_line() -> None:
    x = torch.tensor([[[0.0, 9, 9, 3, 9, 5]]], dtype=torch.float64)
    gone = torch.tensor([[[False, True, True, False, True, False]]])
    found = _filled(Linear(noise=0.0, n_iter=50), x, gone)
    assert found[0, 0].tolist() == pytest.approx([0, 1, 2, 3, 4, 5], abs=1e-6)
    last = _filled(Linear(noise=0.0, n_iter=50), x.transpose(1, 2), gone.transpose(1, 2), axis=2)
    assert torch.allclose(last, found.transpose(1, 2))


def test_noise_is_a_share_of_the_range_and_only_where_something_was_removed() -> None:
    x = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    x[:, :, :, 32:] = 4.0
    gone = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    gone[..., :20] = True
    found = _filled(Linear(noise=0.05), x, gone)
    assert torch.equal(found[~gone], x[~gone])
    assert found[gone].std().item() == pytest.approx(0.2, rel=0.1)
    assert found[gone].mean().abs().item() < 0.05


def test_where_nothing_is_left_stands_the_mean() -> None:
    x = _pictures()
    found = _filled(Linear(noise=0.0), x, torch.ones(2, 1, 32, 32, dtype=torch.bool))
    assert torch.allclose(found, x.mean((2, 3), keepdim=True).expand_as(x))


def test_constants_blurs_and_baselines_stand_where_something_was_removed() -> None:
    x = _pictures()
    gone = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(3)) < 0.5
    for by, value in ((Constant(value=7.0), 7.0), (Zeros(), 0.0), (Mean(), x.mean((2, 3), keepdim=True))):
        assert torch.equal(_filled(by, x, gone), torch.where(gone, value, x))
    blurred = _filled(Blurred(), x, torch.ones_like(gone))
    noise = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(4))
    assert _filled(Blurred(), noise, torch.ones_like(gone)).std() < 0.2
    channels_last = _filled(Blurred(), x.movedim(1, 3), torch.ones_like(gone).movedim(1, 3), axis=3)
    assert torch.allclose(channels_last.movedim(3, 1), blurred)
    assert _filled(Blurred(), torch.ones(2, 5), torch.ones(2, 5, dtype=torch.bool), axis=None).abs().max() == 0


def test_ids_are_replaced_by_ids() -> None:
    ids, gone = torch.tensor([[3, 4, 5]]), torch.tensor([[True, False, True]])
    assert _filled(Constant(value=9.0), ids, gone, axis=None).tolist() == [[9, 4, 9]]
    with pytest.raises(ArgumentError, match="expected a whole number in the place of ids, got 0.5"):
        _filled(Constant(value=0.5), ids, gone, axis=None)
    with pytest.raises(UnsuitableError, match="'linear' needs numbers with channels"):
        _filled(Linear(), ids, gone, axis=None)


class Narrow(Baseline, abstract=True):  # abstract: no strategy that others would search
    name = "narrow_of_tests"

    def __call__(self, values: Tensor) -> Tensor:
        return values[..., :1]


def test_baselines_of_another_shape_and_unknown_names_are_refused() -> None:
    with pytest.raises(ShapeError, match="baseline_fn: expected values of shape"):
        _filled(Narrow(), _pictures(), torch.ones(2, 1, 32, 32, dtype=torch.bool))
    with pytest.raises(ArgumentError, match="no baseline or imputer 'linaer'; did you mean 'linear'"):
        MoRF(lambda x: x, baseline_fn="linaer")
    with pytest.raises(ArgumentError, match="baseline_fn: expected"):
        MoRF(lambda x: x, baseline_fn=3)
    assert MoRF(lambda x: x, baseline_fn="linear").baseline_fn == Linear()
    assert MoRF(lambda x: x, baseline_fn="mean").baseline_fn == Mean()
