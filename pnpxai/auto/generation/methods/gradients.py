"""Methods of one backward pass for each unit of the response: gradient times embedding, its path, relevance."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor

from pnpxai.attributors.language.seeds import gradients_of, relevances_of
from pnpxai.auto.generation.methods.base import ResponseMethod, UnitValues
from pnpxai.auto.generation.task import Task

__all__ = ["PromptAttnLRP", "PromptGradientXInput", "PromptIntegratedGradients"]

Inputs: TypeAlias = tuple[Tensor, ...]
_TOLERANCE = 0.01
_ROW_TOKENS = 1024


class PromptGradientXInput(ResponseMethod):
    r"""a_i = \sum_d x_id dF/dx_id: the gradient of a unit's score times the embedding of each token of the prompt.

    Shrikumar et al., 2016 (arXiv:1605.01713).
    """

    needs_gradient: ClassVar[bool] = True

    def values(self, task: Task) -> UnitValues:
        """Return the values of a task, from one forward pass."""
        inputs = task.point()
        gradients, scores = gradients_of(task.model, task.embedded, *inputs, lean=task.long)
        values, held = task.by_player([g[:, 0] * x for g, x in zip(gradients, inputs, strict=True)])
        return UnitValues(values, scores[0].double().cpu(), held=held)


class PromptIntegratedGradients(ResponseMethod):
    r"""a_i = \sum_d (x_id - b_id) \int_0^1 dF/dx_id (b + t (x - b)) dt, summed over the embeddings' width.

    Sundararajan et al., 2017 (arXiv:1703.01365). Held tokens are at their values all along the path. The number of
    steps is doubled until each unit's values sum to F(x) - F(b) to within 1 % of |F(x)| or |F(x) - F(b)|, the larger.
    """

    start: Literal["token", "zeros"] = "token"
    """Where the path starts: at the embedding of the token that stands for what is absent, or at zero. Models that
    normalise embeddings change fast near zero, which takes many more steps."""
    n_steps: Annotated[int, Ge(2)] = 16
    """Number of steps to begin with."""
    most_steps: Annotated[int, Ge(2)] = 256
    """Steps are doubled up to so many."""

    needs_gradient: ClassVar[bool] = True

    def values(self, task: Task) -> UnitValues:
        """Return the values of a task; a note says which units' values miss their sum."""
        inputs = task.point()
        starts = task.start(inputs, self.start)
        with torch.no_grad():
            ends = task.embedded(*map(torch.cat, zip(starts, inputs, strict=True))).double().cpu()
        base, scores = ends[0], ends[1]
        scale = torch.maximum(scores.abs(), (scores - base).abs()).clamp_min(1e-9)
        steps = self.n_steps
        while True:
            values = self._path(task, starts, inputs, steps)
            gap = scores - base - values.sum(1)
            missed = gap.abs() > _TOLERANCE * scale
            if not bool(missed.any()) or 2 * steps > self.most_steps:
                break
            steps *= 2
        notes = ()
        if bool(missed.any()):
            worst = float((gap.abs() / scale).max())
            notes = (
                f"with {steps} steps the values of {int(missed.sum())} of {len(gap)} response units miss their sum by "
                f"more than 1 % (at most {worst:.1%}); most_steps={4 * steps} takes more",
            )
        return UnitValues(values, scores, gap=gap, base=base, notes=notes)

    def _path(self, task: Task, starts: Inputs, inputs: Inputs, steps: int) -> Tensor:
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        away = [x - b for b, x in zip(starts, inputs, strict=True)]
        kept = [x.shape[1 : 2 if k == 0 else None] for k, x in enumerate(inputs)]  # tokens, or all of a picture
        totals = [torch.zeros(len(task.response.names), *shape, dtype=torch.float64) for shape in kept]
        rows = max(1, _ROW_TOKENS // (inputs[0].shape[1] + len(task.response.ids)))
        for first in range(0, steps, rows):
            t, weight = (nodes[first : first + rows] + 1) / 2, torch.tensor(weights[first : first + rows] / 2)
            points = [b + _beside(t, d) * d for b, d in zip(starts, away, strict=True)]
            gradients, _ = gradients_of(task.model, task.embedded, *points, lean=task.long)
            for k, (g, d) in enumerate(zip(gradients, away, strict=True)):
                part = (g * d).sum(-1) if k == 0 else g * d
                totals[k] += torch.einsum("us...,s->u...", part.double().cpu(), weight)
        return task.by_player(totals)[0]


def _beside(t: np.ndarray, x: Tensor) -> Tensor:
    return torch.tensor(t).to(x).reshape(-1, *[1] * (x.ndim - 1))


class PromptAttnLRP(ResponseMethod):
    """Relevance passed back through attention: softmax by its Taylor term, products by halves, norms as scales.

    Achtibat et al., 2024 (arXiv:2402.05602). All units of the response share one forward pass. What biases and the
    Taylor term's remainder keep is reported as ``sinks``.
    """

    epsilon: Annotated[float, Gt(0)] = 1e-6
    """Stabiliser of the epsilon rule."""

    needs_gradient: ClassVar[bool] = True

    def values(self, task: Task) -> UnitValues:
        """Return the values of a task.

        Raises:
            RuleError: an operation of the model has no rule.
        """
        inputs = task.point()
        found = relevances_of(task.model, task.embedded, *inputs, epsilon=self.epsilon, lean=task.long)
        values, held = task.by_player(found.values)
        scores, sinks = found.scores.double().cpu(), found.sinks.double()
        gap = scores - values.sum(1) - held - sinks
        notes: tuple[str, ...] = ()
        if inputs[0].dtype in (torch.bfloat16, torch.float16):
            notes = (
                f"in {inputs[0].dtype} quotients of relevance lose their digits; model.float() gives a map to rely on",
            )
        if bool((gap.abs() > _TOLERANCE * scores.abs().clamp_min(1e-6)).any()):
            left = float(gap.abs().max())
            notes += (f"relevance is not conserved: at most {left:.2g} of a score is unaccounted for",)
        return UnitValues(values, scores, gap=gap, held=held, sinks=sinks, notes=notes)
