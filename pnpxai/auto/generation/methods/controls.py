"""What any method has to beat: chance, where a unit stands, and what was looked at."""

from __future__ import annotations

from typing import ClassVar

import torch

from pnpxai.attributors.attention.maps import attention_pass
from pnpxai.auto.generation.methods.base import ResponseMethod, UnitValues
from pnpxai.auto.generation.task import Task
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score, select_output
from pnpxai.engine.running.seeds import draws
from pnpxai.errors import UnsuitableError

__all__ = ["PromptAttention", "PromptPosition", "PromptRandom"]


class PromptRandom(ResponseMethod):
    """Values drawn at random."""

    seed: int = 0
    """Of which they are drawn."""

    control: ClassVar[bool] = True

    def values(self, task: Task) -> UnitValues:
        """Return random values."""
        shape = (len(task.response.names), len(task.players))
        drawn = draws(self.seed, "random", *shape).uniform(shape).double()
        return UnitValues(drawn, _whole(task))


class PromptPosition(ResponseMethod):
    """The later a unit stands in the prompt, the larger its value: the last sentence first."""

    control: ClassVar[bool] = True

    def values(self, task: Task) -> UnitValues:
        """Return 1 / n, 2 / n, ..., 1."""
        count = len(task.players)
        row = torch.arange(1, count + 1, dtype=torch.float64) / max(count, 1)
        return UnitValues(row.repeat(len(task.response.names), 1), _whole(task))


class PromptAttention(ResponseMethod):
    """Mean attention of all heads and layers, from where a unit of the response is predicted to each token.

    It says what was looked at, not what it did (Jain and Wallace, 2019, arXiv:1902.10186).
    """

    control: ClassVar[bool] = True

    def values(self, task: Task) -> UnitValues:
        """Return sums of mean attention.

        Raises:
            UnsuitableError: the model has no attention from the response to the prompt that can be seen.
        """
        call, count = task.attention_call(), len(task.response.ids)
        names, tensors = list(call), tuple(call.values())
        ids = tuple(t for t in tensors if isinstance(t, torch.Tensor))
        rest = {n: v for n, v in call.items() if not isinstance(v, torch.Tensor)}
        keys = [n for n, v in zip(names, tensors, strict=True) if isinstance(v, torch.Tensor)]

        def total(*given: torch.Tensor) -> torch.Tensor:
            logits = select_output(task.model(**dict(zip(keys, given, strict=True)), **rest))
            return logits.float().mean((1, 2))

        with borrowed(task.model):
            maps = attention_pass(Score(total, 1), ids).maps
        read = len(task.prompt.ids)
        shape = (count, read) if task.encodes else (read + count - 1,) * 2
        fitting = [m.detach().float().reshape(-1, *m.shape[-2:])[:, -count:] for m in maps if m.shape[-2:] == shape]
        if not fitting:
            raise UnsuitableError(
                "attention: the model has no attention from the response to the prompt that can be seen"
            )
        mean = torch.cat(fitting).mean(0).cpu().double()
        mean = torch.nn.functional.pad(mean, (0, max(0, len(task.shown_ids) - mean.shape[1])))[:, : len(task.shown_ids)]
        values, held = task.by_player([task.response.members.double().T @ mean])
        return UnitValues(values, _whole(task), held=held)


def _whole(task: Task) -> torch.Tensor:
    return task.scores(torch.ones(1, len(task.players), dtype=torch.bool))[0]
