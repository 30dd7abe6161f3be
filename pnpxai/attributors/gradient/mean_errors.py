"""Streams the standard error of a mean over samples, for each example: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pnpxai.engine.running.batching import Block

__all__ = ["MeanError"]


class MeanError:
    """Computes sd / sqrt(m) of m independent draws by Welford's updates, in double precision.

    Squares of deviations may exceed what the samples' own precision holds. A draw is a sample, or the mean of two
    samples that were drawn together.

    Args:
        size: number of examples.
        paired: whether samples 0 and 1, 2 and 3, ... make one draw.
    """

    def __init__(self, size: int, *, paired: bool = False) -> None:
        self.size = size
        self.paired = paired
        self.count = torch.zeros(size, dtype=torch.long)  # samples of each example
        self.halves: list[Tensor] = []
        self.means: list[Tensor] = []
        self.squares: list[Tensor] = []
        self.dtypes: list[torch.dtype] = []

    def add(self, block: Block, samples: Sequence[Tensor], skip: int = -1) -> None:
        """Add a block's samples (len(block), ...), step after step, without those of the step ``skip``."""
        if not self.means:
            self.means, self.squares, self.halves = (
                [m.new_zeros(self.size, *m.shape[1:], dtype=torch.float64) for m in samples] for _ in range(3)
            )
            self.dtypes = [m.dtype for m in samples]
        part = slice(block.examples.start, block.examples.stop)
        for number, step in enumerate(block.steps):
            if step == skip:
                continue
            self.count[part] += 1
            seen = int(self.count[block.examples.start])
            for k, member in enumerate(samples):
                sample = member.detach()[number * len(block.examples) :][: len(block.examples)].double()
                if self.paired and seen % 2:
                    self.halves[k][part] = sample
                    continue
                draw = (self.halves[k][part] + sample) / 2 if self.paired else sample
                shift = draw - self.means[k][part]
                self.means[k][part] += shift / (seen // 2 if self.paired else seen)
                self.squares[k][part].addcmul_(shift, draw - self.means[k][part])

    def result(self, n_samples: int) -> tuple[list[Tensor], int] | None:
        """Return the standard errors and their degrees of freedom.

        They are None where there are fewer than three draws, or a pair is not complete.

        Args:
            n_samples: number of samples whose mean the error belongs to, those included that are no random draws.
        """
        random = int(self.count[0])
        draws = random // 2 if self.paired else random
        if draws < 3 or (self.paired and random % 2):
            return None
        share = random / n_samples
        errors = [(square / (draws - 1) / draws).sqrt() * share for square in self.squares]
        return [error.to(dtype) for error, dtype in zip(errors, self.dtypes, strict=True)], draws - 1
