"""What is asked: the score of each unit of a response, as a function of which units of the prompt are present."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.language.responses import ResponseModel, TokenScore
from pnpxai.auto.generation.prompts import Prompt
from pnpxai.auto.generation.responses import Response
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Model

__all__ = ["Removal", "Task"]

_LONG = 1024
"""Tokens from which on layers are run again in the backward pass."""
Removal: TypeAlias = Literal["drop", "mask", "replace"]
"""How a unit is made absent: its text is not written; the model may not look at its tokens, which hold nothing; another
token stands for each of its tokens."""


@dataclass(eq=False)
class Task:
    """A model, a prompt and a response, as a game and as a function of embeddings.

    F_u is the sum of the scores of the tokens of unit u of the response, with ``against`` less that of another response
    to the same prompt. Players are the units of the prompt; with ``counts_response``, also those of the response, for
    the tokens that follow them.

    Attributes:
        model: the model.
        prompt: what it reads.
        response: what it writes.
        against: another response, which is compared with all of the response.
        score: what is taken of each token.
        removal: how units are made absent.
        absent_id: the token that stands for what is masked or replaced, and at the start of a path; None if there is
            none.
        start_id: the token that stands in place of an empty prompt.
        counts_response: whether earlier units of the response are players.
        rows: number of rows that have run through the model so far.
    """

    model: Model
    prompt: Prompt
    response: Response
    against: Response | None = None
    score: TokenScore = "log_probability"
    removal: Removal = "drop"
    absent_id: int | None = None
    start_id: int | None = None
    counts_response: bool = False
    rows: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.against is not None and (self.counts_response or len(self.response.names) > 1):
            raise ArgumentError(
                "against: two responses are compared as wholes; give response_units='response', and leave out "
                "prefix='count'"
            )

    @cached_property
    def _models(self) -> tuple[tuple[ResponseModel, Tensor], ...]:
        """The response, and what is compared with it: as models, with the sign of each token for each unit."""
        found = [(self._of(self.response), self.response.members)]
        if self.against is not None:
            found.append((self._of(self.against), -self.against.members.sum(1, keepdim=True)))
        return tuple(found)

    def _of(self, response: Response) -> ResponseModel:
        return ResponseModel(self.model, response.ids, self.score, self.start_id, media=self.prompt.media)

    @property
    def players(self) -> tuple[str, ...]:
        """The names of what can be absent."""
        names = self.prompt.names
        return names + self.response.names if self.counts_response else names

    def scores(self, present: Tensor) -> Tensor:
        """Return (rows, response units) scores in float64, if some players (rows, players) are present."""
        if self.counts_response and self.removal == "drop":
            raise ArgumentError("prefix: what was already written cannot be dropped; give removal='mask' with 'count'")
        self.rows += len(present) * len(self._models)
        total = torch.zeros(len(present), len(self.response.names), dtype=torch.float64)
        n_units, n_shown = len(self.prompt.units), len(self.prompt.names)
        cells = None if self.prompt.media is None else present[:, n_units:n_shown]
        for model, members in self._models:
            if self.removal == "drop":
                found = model.scores([self.prompt.without(row[:n_units]) for row in present], cells=cells)
            else:
                here = [self.prompt.tokens_present(row) for row in present[:, :n_units]]
                prompts = [self._replaced(self.prompt.ids, h) for h in here]
                later = self._response_present(present[:, n_shown:])
                read = None if later is None else [self._replaced(self.response.ids, row) for row in later]
                if later is not None:
                    here = [torch.cat([h, row]) for h, row in zip(here, later, strict=True)]
                found = model.scores(prompts, here if self.removal == "mask" else None, read, cells)
            total += found.double() @ members.double()
        return total

    def _response_present(self, present: Tensor) -> Tensor | None:
        if not self.counts_response:
            return None
        if self._models[0][0].encodes:
            raise ArgumentError(
                "prefix: of a model with a decoder of its own, 'count' works with gradient methods alone"
            )
        ends = torch.cat([present, torch.ones(len(present), 1, dtype=torch.bool)], 1)
        return ends[:, self.response.owner]

    def _replaced(self, ids: Tensor, present: Tensor) -> Tensor:
        if bool(present.all()):
            return ids
        return torch.where(present, ids, self.absent)

    @property
    def absent(self) -> int:
        """The token that stands for what is absent.

        Raises:
            ArgumentError: the tokenizer has no mask, unknown, padding, end or begin token.
        """
        if self.absent_id is None:
            raise ArgumentError("absent: the tokenizer has no token for what is absent; give absent=, the id of one")
        return self.absent_id

    def embedded(self, x: Tensor, *media: Tensor) -> Tensor:
        """Return (rows, response units) scores, which can be differentiated.

        Args:
            x: (rows, tokens, width) embeddings.
            *media: (rows, ...) of each argument of the media.
        """
        self.rows += len(x) * len(self._models)
        n_tokens = len(self.prompt.ids)
        parts = []
        for model, members in self._models:
            later = x[:, n_tokens:] if self.counts_response else None
            found = model.scores_at(x[:, :n_tokens], later, media, self.prompt.ids)
            parts.append(found @ members.to(found))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def point(self) -> tuple[Tensor, ...]:
        """Return the inputs of ``embedded`` with everything present, each (1, ...)."""
        x = self.embeddings(self.shown_ids)
        media = self.prompt.media
        return (x,) if media is None else (x, *(v[None].to(x) for v in media.values.values()))

    def start(self, inputs: tuple[Tensor, ...], kind: str) -> tuple[Tensor, ...]:
        """Return the inputs without players: tokens become zeros or the absent token, cells what stands for them."""
        x, media = inputs[0], self.prompt.media
        zero = torch.zeros_like(x) if kind == "zeros" else self.embeddings(torch.tensor([self.absent])).expand_as(x)
        b = torch.where((self.token_players < 0)[None, :, None].to(x.device), x, zero)
        if media is None:
            return (b,)
        none = media.shown(torch.zeros(1, len(media.names), dtype=torch.bool))
        return (b, *(v.to(x) for v in none))

    @property
    def long(self) -> bool:
        """Whether prompt and response take more memory than time in a backward pass, so that layers run again."""
        return len(self.prompt.ids) + len(self.response.ids) > _LONG

    @property
    def shown_ids(self) -> Tensor:
        """The tokens whose embeddings vary: those of the prompt, and of the response where it counts."""
        return torch.cat([self.prompt.ids, self.response.ids]) if self.counts_response else self.prompt.ids

    @property
    def token_players(self) -> Tensor:
        """(tokens,) the player of each of these tokens, -1 where it is held."""
        if not self.counts_response:
            return self.prompt.owner
        later = self.response.owner
        return torch.cat([self.prompt.owner, torch.where(later < 0, later, later + len(self.prompt.names))])

    def embeddings(self, ids: Tensor) -> Tensor:
        """Return (1, tokens, width) embeddings of ids (tokens,)."""
        return self._models[0][0].embeddings(ids)[None]

    def by_player(self, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (units, players) sums of values, and (units,) what held tokens have.

        Args:
            values: of each input of ``embedded``, (units, ...), or of tokens alone, (units, tokens).
        """
        first, *others = (v.detach().cpu() for v in values)
        owner = self.token_players
        sums = torch.zeros(len(first), len(self.players) + 1, dtype=torch.float64)
        tokens = first.sum(-1, dtype=torch.float64) if first.ndim > 2 else first.double()
        sums.index_add_(1, torch.where(owner < 0, len(self.players), owner), tokens)
        media = self.prompt.media
        for name, v in zip(() if media is None else media.values, others, strict=bool(others)):
            cells = media.cells[name] if media is not None else owner
            sums.index_add_(1, len(self.prompt.units) + cells.expand(v.shape[1:]).flatten(), v.double().flatten(1))
        return sums[:, :-1], sums[:, -1]

    def attention_call(self) -> dict[str, object]:
        """Return the arguments of one pass over prompt and response."""
        self.rows += 1
        return self._models[0][0].attention_call(self.prompt.ids)

    @property
    def encodes(self) -> bool:
        """Whether an encoder reads the prompt."""
        return self._models[0][0].encodes
