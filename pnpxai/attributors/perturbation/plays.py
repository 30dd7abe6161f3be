"""Games played for Shapley values: a design for each number of players, its roles dealt to each example's players."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.attributors.perturbation.designs import Budget, Design, Estimator, design_of
from pnpxai.attributors.perturbation.estimates import Estimate, estimated
from pnpxai.attributors.perturbation.games import Game
from pnpxai.engine.running.score import WholeBatchOutput
from pnpxai.engine.running.seeds import RandomStream, draws

__all__ = ["Play", "runs_of"]

_MOST_RUNS = 65_536
"""Coalitions are averaged over all rows while coalitions x rows are at most so many, else over some rows each."""


@dataclass(frozen=True)
class Play:
    """The coalitions that each example of a game runs.

    Designs are drawn by seed, budget and number of players alone. So that the errors of different examples are
    independent, each example deals the roles of a design to its players in an order of its own, which goes by its
    id or content: an example alone plays as it does in a batch.

    Attributes:
        game: the game.
        designs: the designs, and how values are estimated from each.
        which: (examples,) the design of each example, or of all of them (1,).
        roles: (1 or examples, players) the player of the design that each player plays.
        seed: of which the rows are drawn that stand in.
    """

    game: Game
    designs: tuple[tuple[Design, Estimator], ...]
    which: Tensor
    roles: Tensor
    seed: int

    @classmethod
    def of(cls, game: Game, budget: Budget, stream: RandomStream, *, dealt: bool = True) -> Play:
        """Draw the coalitions; unless ``dealt``, all examples play the same ones."""
        distinct = sorted(set(game.groups.sizes))
        designs = tuple(design_of(budget, size, stream.seed) for size in distinct)
        most = max(distinct)
        if len(designs) == 1 and (designs[0][1] == "exact" or not dealt):
            return cls(game, designs, torch.zeros(1, dtype=torch.long), torch.arange(most)[None], stream.seed)
        sizes = torch.tensor([game.groups.size_of(e) for e in range(game.score.size)])
        which, roles = torch.zeros_like(sizes), torch.zeros(len(sizes), most, dtype=torch.long)
        own = RandomStream(stream.seed, game.keys(stream)).draws("roles")
        for number, (size, (_, method)) in enumerate(zip(distinct, designs, strict=True)):
            rows = (sizes == size).nonzero()[:, 0]
            which[rows] = number
            roles[rows, :size] = torch.arange(size) if method == "exact" else own[rows].permutation(size)
        return cls(game, designs, which, roles, stream.seed)

    def scores(self, perturbations_per_eval: int, show_progress: bool) -> Tensor:
        """Return (examples, coalitions) scores, averaged over the rows that stand in."""
        most = max(len(design.present) for design, _ in self.designs)
        stack = torch.zeros(len(self.designs), most, self.roles.shape[1], dtype=torch.bool)
        for table, (design, _) in zip(stack, self.designs, strict=True):
            table[: len(design.present), : design.n_players] = design.present
        stacks = [stack.to(x.device) for x in self.game.tensors]
        roles = [self.roles.to(x.device) for x in self.game.tensors]
        alike = len(self.which) == 1

        def present(k: int, examples: range, steps: Tensor) -> Tensor:
            chosen = slice(0, 1) if alike else slice(examples.start, examples.stop)
            table = stacks[k][self.which[chosen, None], steps]
            dealt = table.gather(2, roles[k][chosen][:, None].expand(-1, len(steps), -1))
            return self.game.groups.look_up(k, dealt, examples)

        return self.game.scores(
            present,
            most,
            runs=runs_of(tuple(design for design, _ in self.designs), self.game.stand_ins.n_rows, self.seed),
            perturbations_per_eval=perturbations_per_eval,
            show_progress=show_progress,
            label="coalitions",
            alike=alike,
        )

    def estimate(self, scores: Tensor) -> Estimate:
        """Return the values (examples, players) of scores (examples, coalitions)."""
        most = self.roles.shape[1]
        values = torch.zeros(len(scores), most, dtype=torch.float64)
        errors = torch.full_like(values, float("nan"))
        free: list[int] = []
        for number, (design, method) in enumerate(self.designs):
            rows = torch.arange(len(scores)) if len(self.which) == 1 else (self.which == number).nonzero()[:, 0]
            complete = self.game.stand_ins.n_rows == 1 or _row_share(design, self.game.stand_ins.n_rows) is None
            part = estimated(design, scores[rows.to(scores.device)].cpu(), method, all_rows=complete)
            size = design.n_players
            roles = (self.roles if len(self.roles) == 1 else self.roles[rows])[:, :size].expand(len(rows), -1)
            values[rows, :size] = part.values.gather(1, roles)
            if part.standard_error is not None:
                errors[rows, :size] = part.standard_error.gather(1, roles)
                free.append(part.degrees_of_freedom or 0)
            elif method == "exact":
                errors[rows, :size] = 0.0
        known = bool(free) and not bool(errors[:, : min(d.n_players for d, _ in self.designs)].isnan().any())
        return Estimate(values, errors.nan_to_num() if known else None, min(free) if known else None)

    @classmethod
    def played(
        cls, game: Game, budget: Budget, stream: RandomStream, perturbations_per_eval: int, show_progress: bool
    ) -> tuple[Play, Tensor]:
        """Return the play of a game and its scores; where the model gives one value for its batch, all play alike."""
        play = cls.of(game, budget, stream)
        try:
            return play, play.scores(perturbations_per_eval, show_progress)
        except WholeBatchOutput:
            if len(play.which) == 1 or not game.groups.shared:
                raise
        play = cls.of(game, budget, stream, dealt=False)
        return play, play.scores(perturbations_per_eval, show_progress)


def runs_of(designs: tuple[Design, ...], n_rows: int, seed: int) -> Tensor | None:
    """Return (coalitions, rows) which rows stand in for the absent of each coalition; None where there is one.

    The empty coalition takes all of them, the full one any, as nobody is absent. A coalition and its complement take
    the same rows, and each row is taken as often as the others.
    """
    if n_rows == 1:
        return None
    runs = torch.zeros(max(len(design.present) for design in designs), n_rows, dtype=torch.bool)
    for design in designs:
        share = _row_share(design, n_rows)
        if share is None:
            runs[: len(design.present)] = True
        else:
            shuffled = draws(seed, "rows", n_rows).permutation(n_rows)
            units = torch.arange(len(design.present)) // 2
            if design.method == "permutation":  # one draw of rows for an order and its reverse
                units = (torch.arange(len(design.present)) - 2).clamp_min(0) // (2 * (design.n_players - 1))
            places = (units[:, None] * share + torch.arange(share)) % n_rows
            runs[: len(design.present)] |= torch.zeros(len(places), n_rows, dtype=torch.bool).scatter_(
                1, shuffled[places], True
            )
        runs[design.empty] = True
    if len(designs) == 1:
        full = designs[0].full
        runs[full] = False
        runs[full, 0] = True
    return runs


def _row_share(design: Design, n_rows: int) -> int | None:
    """Return how many rows each coalition takes; None for all of them."""
    if design.method == "exact" or len(design.present) * n_rows <= _MOST_RUNS:
        return None
    return max(1, _MOST_RUNS // len(design.present))
