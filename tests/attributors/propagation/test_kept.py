"""What relevance keeps of values: little memory, and nothing that was edited meanwhile."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pnpxai.attributors import LRP
from pnpxai.attributors.propagation.relevance.elementwise import Pass
from pnpxai.attributors.propagation.relevance.kept import Again, Held, keep
from pnpxai.attributors.propagation.relevance.steps import tied

X = torch.randn(3, 4, dtype=torch.float64)


class Edited(nn.Module):
    """Edits, or leaves, what an operation has used: its constant, its operand or its value."""

    def __init__(self, which: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.which = which
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        constant, h = torch.full((5,), 2.0, dtype=x.dtype), self.first(x)
        value = torch.tanh(h * constant)
        before = value.clone()
        with torch.no_grad():
            for name, tensor in (("constant", constant), ("operand", h), ("value", value)):
                if name == self.which:
                    tensor.mul_(3.0)
        return self.last(torch.relu(before))


@pytest.mark.parametrize("which", ["constant", "operand", "value"])
def test_what_is_edited_later_changes_no_relevance(which):
    right = LRP(Edited("nothing").double()).attribute(X, target=1)
    torch.testing.assert_close(LRP(Edited(which).double()).attribute(X, target=1), right)


def test_an_edited_value_is_refused():
    value = X.clone()
    held = Held.of(value)
    assert held() is not None
    value.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        held()


def doubled(leaf: Tensor, constant: Tensor) -> Tensor:
    return tied(Pass(), lambda x: x * constant, [leaf], copies=False, cheap=[constant])


def test_a_value_is_computed_again_from_what_is_kept():
    constant = torch.tensor(2.0, dtype=X.dtype)
    kept = keep(doubled(X.clone().requires_grad_(), constant))
    assert isinstance(kept, Again)
    torch.testing.assert_close(kept(), 2 * X)
    constant.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept()


def test_an_edited_value_is_kept_itself():
    value = doubled(X.clone().requires_grad_(), torch.tensor(2.0, dtype=X.dtype))
    with torch.no_grad():
        value.add_(1)
    torch.testing.assert_close(keep(value)(), 2 * X + 1)
