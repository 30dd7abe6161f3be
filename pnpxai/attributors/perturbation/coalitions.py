"""Plans of coalitions: which groups are present at each step, for all examples or for each by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.engine.running.seeds import RandomStream

__all__ = ["Plans", "every_coalition"]


@dataclass(frozen=True)
class Plans:
    """A plan (steps, groups) for all examples, or one for each: examples may have different numbers of groups."""

    each: tuple[Tensor, ...]

    @classmethod
    def of(
        cls, groups: Groups, make: Callable[[int, RandomStream], Tensor], stream: RandomStream | None = None
    ) -> Plans:
        """Let ``make(number of groups, stream)`` give the plans; examples with the same of both share one."""
        sizes, stream = groups.sizes, RandomStream() if stream is None else stream
        owners = range(max(len(sizes), len(stream.ids or ("",))))
        made: dict[tuple[int, RandomStream], Tensor] = {}
        each = []
        for e in owners:
            key = sizes[e % len(sizes)], stream.take([e])
            if key not in made:
                made[key] = make(*key)
            each.append(made[key])
        return cls(tuple(each))

    def table(self) -> Tensor:
        """Return (1 or examples, steps, groups) all plans, filled up with zeros to the longest."""
        steps, groups = (max(plan.shape[axis] for plan in self.each) for axis in (0, 1))
        table = self.each[0].new_zeros(len(self.each), steps, groups)
        for row, plan in zip(table, self.each, strict=True):
            row[: plan.shape[0], : plan.shape[1]] = plan
        return table

    def solve(self, scores: Tensor, solution: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return (examples, groups) what ``solution(plan, scores of the examples that share it)`` gives, in float64."""
        scores = scores.double().cpu()
        values = scores.new_zeros(len(scores), max(plan.shape[1] for plan in self.each))
        for plan in {id(plan): plan for plan in self.each}.values():
            rows = [e for e in range(len(scores)) if self.each[e % len(self.each)] is plan]
            values[rows, : plan.shape[1]] = solution(plan, scores[rows])
        return values


def every_coalition(size: int) -> Tensor:
    """Return (2**size, size) all coalitions: bit g of a row's number says whether group g is present."""
    return (torch.arange(2**size)[:, None] >> torch.arange(size)) & 1 == 1
