"""How faithful values of a response are, measured by really removing parts of the prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pnpxai.auto.generation.task import Task
from pnpxai.engine.running.seeds import draws
from pnpxai.errors import ArgumentError
from pnpxai.metrics.rank_correlation import spearman

__all__ = ["faithfulness", "linear_datamodeling_score", "sufficiency", "top_k_drop"]


def top_k_drop(task: Task, values: Tensor, k: int) -> Tensor:
    r"""Return (response units,) F(all) - F(all but the k units with the largest values): comprehensiveness.

    Cohen-Wang et al., 2024 (arXiv:2409.00729). Each unit of the response has its own k units; higher is better.
    """
    top = _top(task, values, k)
    return _of_rows(task, torch.ones_like(top)) - _of_rows(task, ~top)


def sufficiency(task: Task, values: Tensor, k: int) -> Tensor:
    """Return (response units,) F(all) - F(the k units with the largest values alone); lower is better.

    DeYoung et al., 2020 (arXiv:1911.03429).
    """
    top = _top(task, values, k)
    return _of_rows(task, torch.ones_like(top)) - _of_rows(task, top)


def linear_datamodeling_score(
    task: Task, values: Tensor, *, n_ablations: int = 32, keep: float = 0.5, seed: int = 1_000_003
) -> Tensor:
    r"""Return (response units,) rank correlation of F(S) with \sum_{i in S} a_i over random sets S.

    Park et al., 2023 (arXiv:2303.14186). The sets are held out: no method draws with this seed. NaN where nothing
    varies; higher is better.
    """
    count = values.shape[1]
    present = draws(seed, "linear datamodeling", count).uniform((n_ablations, count)) < keep
    found, defined = spearman(task.scores(present).T.contiguous(), values.double() @ present.double().T)
    return torch.where(torch.tensor(defined), found.double(), torch.nan)


def faithfulness(
    task: Task, values: Tensor, *, k: Sequence[int] = (1, 3, 5), n_ablations: int = 32
) -> dict[str, Tensor]:
    """Return each measure's (response units,) values; k beyond the number of players is left out.

    Raises:
        ArgumentError: the values are of another task.
    """
    if values.shape != (len(task.response.names), len(task.players)):
        raise ArgumentError(
            f"values: expected shape {(len(task.response.names), len(task.players))}, got {tuple(values.shape)}"
        )
    found = {f"top-{n} drop": top_k_drop(task, values, n) for n in k if n < len(task.players)}
    found |= {f"sufficiency of {n}": sufficiency(task, values, n) for n in list(k)[:1] if n < len(task.players)}
    return found | {"LDS": linear_datamodeling_score(task, values, n_ablations=n_ablations)}


def _top(task: Task, values: Tensor, k: int) -> Tensor:
    """Return (response units, players) true for the k largest values of each row."""
    return torch.zeros_like(values, dtype=torch.bool).scatter_(1, values.topk(k, 1).indices, True)


def _of_rows(task: Task, present: Tensor) -> Tensor:
    """Return (response units,) the score of unit u where row u of players is present; equal rows run once."""
    rows, which = present.unique(dim=0, return_inverse=True)
    return task.scores(rows)[which, torch.arange(len(which))]
