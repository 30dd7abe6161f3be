"""Scores a response token by token: how much a language model expects each token of it, given a prompt."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from pnpxai.attributors.language.base_model import LanguageModel, base_model
from pnpxai.attributors.language.media import Media
from pnpxai.engine.running.batching import Block, in_blocks
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import select_output
from pnpxai.errors import ArgumentError, NonFiniteError
from pnpxai.model_types import Keywords, Model

__all__ = ["ResponseModel", "TokenScore"]

TokenScore: TypeAlias = Literal["log_probability", "logit", "probability"]
"""What is taken of a token: log p, the raw output, or p."""
_TOKENS_PER_PASS = {"cpu": 1024, "other": 16_384}
_LOGIT_BYTES = 2**28


@dataclass(frozen=True)
class ResponseModel:
    """A language model as a function of prompts, with a number for each token of a fixed response.

    F_t(prompt) is the score of token t of the response after the prompt and the tokens before t, whose values are given
    to the model (teacher forcing), so that one forward pass gives all of them. Decoders read prompt and response in one
    sequence; encoder-decoder models read the prompt in the encoder.

    Attributes:
        model: the model.
        response: (response tokens,) ids.
        score: what is taken of a token.
        start: id that stands alone where a prompt is empty; None refuses empty prompts.
        padding: on which side shorter prompts of a pass are padded.
        media: pictures or sound that the model reads beside the text; then prompts of one length run together.
    """

    model: Model
    response: Tensor
    score: TokenScore = "log_probability"
    start: int | None = None
    padding: Literal["left", "right"] = "left"
    media: Media | None = None

    def __post_init__(self) -> None:
        if self.response.ndim != 1 or not len(self.response):
            raise ArgumentError(
                f"response: expected ids (tokens,), at least one, got shape {tuple(self.response.shape)}"
            )

    @cached_property
    def base(self) -> LanguageModel:
        """The model without adapters' wrappers."""
        return base_model(self.model)

    @cached_property
    def encodes(self) -> bool:
        """Whether an encoder reads the prompt and a decoder writes the response."""
        return self._has_encoder and "input_ids" in self.takes

    @cached_property
    def _has_encoder(self) -> bool:
        return bool(getattr(getattr(self.base, "config", None), "is_encoder_decoder", False))

    @cached_property
    def _text(self) -> str:
        """What the arguments with ids and masks of the text begin with: a decoder's, where an encoder has media."""
        return "decoder_" if self._has_encoder and not self.encodes else ""

    @cached_property
    def takes(self) -> frozenset[str]:
        """Names of what the model's ``forward`` takes."""
        return frozenset(inspect.signature(self.base.forward).parameters)

    @property
    def device(self) -> torch.device:
        """Where ids go."""
        return self.base.get_input_embeddings().weight.device

    def embeddings(self, ids: Tensor) -> Tensor:
        """Return (tokens, width) embeddings of ids (tokens,), as the model makes them."""
        with torch.no_grad():
            return self.base.get_input_embeddings()(ids.to(self.device)[None])[0].detach()

    def scores(
        self, prompts: Sequence[Tensor], seen: Sequence[Tensor] | None = None, read: Sequence[Tensor] | None = None,
        cells: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return (rows, response tokens) scores in float64 without gradients, a few rows at a time.

        Args:
            prompts: ids (tokens,) of each row, of any lengths.
            seen: for each row, true (tokens,) for tokens that the model may look at; by default all. Entries beyond
                the prompt's belong to the response.
            read: for each row, ids (response tokens,) that a decoder reads in place of the response's.
            cells: (rows, cells) true for cells of the media that are present; by default all.

        Raises:
            NonFiniteError: a score is NaN or infinite.
            ArgumentError: a prompt is empty and nothing can stand in its place; the model takes no mask.
        """
        if seen is not None and f"{self._text}attention_mask" not in self.takes:
            raise ArgumentError("removal: the model takes no mask of its text; take removal='drop' or 'replace'")
        rows = [self._checked(prompt) for prompt in prompts]
        masks = [torch.ones(len(r), dtype=torch.bool) for r in rows] if seen is None else list(seen)
        result = torch.zeros(len(rows), len(self.response), dtype=torch.float64)
        groups = [sorted(range(len(rows)), key=lambda k: len(rows[k]))]
        alone = self.media is not None or not (self.encodes or "position_ids" in self.takes)
        if alone:  # padding would move what is read
            lengths = sorted({len(row) for row in rows})
            groups = [[k for k in range(len(rows)) if len(rows[k]) == length] for length in lengths]
        with borrowed(self.model, gradients=False), torch.no_grad():
            for group in groups:
                longest = len(rows[group[-1]]) + (0 if self.encodes else len(self.response))

                def visit(block: Block, group: list[int] = group) -> None:
                    chosen = [group[k] for k in block.examples]
                    tails = None if read is None else [read[k] for k in chosen]
                    here = None if cells is None else cells[chosen]
                    logits = self._logits([rows[k] for k in chosen], [masks[k] for k in chosen], tails, here)
                    result[chosen] = self._taken(logits).cpu().double()

                in_blocks(len(group), 1, self._row_limit(longest), visit)
        return _finite(result)

    def scores_at(
        self, prompt: Tensor, response: Tensor | None = None, media: tuple[Tensor, ...] = (), ids: Tensor | None = None
    ) -> Tensor:
        """Return (rows, response tokens) scores, which can be differentiated, of embeddings.

        Args:
            prompt: (rows, tokens, width) embeddings of one prompt.
            response: (rows, response tokens, width) embeddings of the response, where they vary too.
            media: (rows, ...) of each argument of the media.
            ids: (tokens,) the prompt, needed beside media.
        """
        given = self.response.to(self.device)
        if response is None:
            response = self.embeddings(given)[None].expand(len(prompt), -1, -1)
        if self.encodes:
            ids = self._decoder_ids(len(prompt))
            begun = self.embeddings(ids[0, :1])[None].expand(len(prompt), -1, -1)
            decoder = torch.cat([begun.to(prompt), response[:, :-1].to(prompt)], 1)
            named = {"decoder_inputs_embeds": decoder}
            if "decoder_inputs_embeds" not in self.takes:
                named = {"decoder_input_ids": ids}
            logits = select_output(self.model(inputs_embeds=prompt, **named, **self._plain()))
        elif self.media is not None and ids is not None:
            together = torch.cat([prompt, response[:, :-1].to(prompt)], 1)
            whole = torch.cat([ids.to(self.device), given[:-1]]).expand(len(prompt), -1)
            logits = self._with_embeddings(together, whole, media)
        else:
            together = torch.cat([prompt, response[:, :-1].to(prompt)], 1)
            kept = {"logits_to_keep": len(given)} if "logits_to_keep" in self.takes else {}
            logits = select_output(self.model(inputs_embeds=together, **kept, **self._plain()))
        return _finite(self._taken(logits[:, -len(given) :]))

    def attention_call(self, prompt: Tensor) -> Keywords:
        """Return the arguments of one pass over a prompt (tokens,) and the response."""
        ids, response = prompt.to(self.device)[None], self.response.to(self.device)[None]
        if self.encodes:
            return {"input_ids": ids, "decoder_input_ids": self._decoder_ids(1), **self._plain()}
        whole = torch.cat([ids, response[:, :-1]], 1)
        return {f"{self._text}input_ids": whole, **self._beside(None, whole), **self._plain()}

    def generation_call(self, prompt: Tensor) -> Keywords:
        """Return the arguments of ``generate`` for a prompt (tokens,)."""
        ids = prompt.to(self.device)[None]
        masks = {} if self._text else {"attention_mask": torch.ones_like(ids)}
        return {f"{self._text}input_ids": ids, **masks, **self._beside(None, ids)}

    def _beside(self, cells: Tensor | None, ids: Tensor) -> Keywords:
        """Return the arguments of the media for rows of ids (rows, tokens)."""
        if self.media is None:
            return {}
        every = torch.ones(len(ids), len(self.media.names), dtype=torch.bool) if cells is None else cells
        return self._here(self.media.keywords(self.media.shown(every), ids))

    def _here(self, call: Keywords) -> Keywords:
        """Return arguments on the model's device; numbers that are not ids in its precision."""
        kind = self.base.get_input_embeddings().weight.dtype
        return {
            n: v.to(self.device, kind if v.is_floating_point() else v.dtype) if isinstance(v, Tensor) else v
            for n, v in call.items()
        }

    def _with_embeddings(self, embeddings: Tensor, ids: Tensor, media: tuple[Tensor, ...]) -> Tensor:
        """Return logits of ids (rows, tokens) beside media, where other embeddings (rows, tokens, width) are read."""
        if self.media is None:
            raise ArgumentError("media: there are none")
        handle = self.base.get_input_embeddings().register_forward_hook(
            lambda module, given, found: embeddings if found.shape == embeddings.shape else found
        )
        try:
            call = {f"{self._text}input_ids": ids, **self._here(self.media.keywords(media, ids)), **self._plain()}
            return select_output(self.model(**call))
        finally:
            handle.remove()

    def _checked(self, prompt: Tensor) -> Tensor:
        if len(prompt):
            return prompt.cpu()
        if self.start is None:
            raise ArgumentError(
                "prompt: nothing is left of it, and the tokenizer has no begin, end or padding token to stand in its "
                "place; hold a part of it, or take removal='replace'"
            )
        return torch.tensor([self.start])

    def _row_limit(self, length: int) -> int:
        kind = "cpu" if self.device.type == "cpu" else "other"
        vocabulary = getattr(getattr(self.base, "config", None), "vocab_size", None) or 50_000
        kept = len(self.response) if self.encodes or "logits_to_keep" in self.takes else length
        by_logits = _LOGIT_BYTES // max(1, 4 * kept * vocabulary)
        return max(1, min(_TOKENS_PER_PASS[kind] // max(1, length), by_logits))

    def _logits(
        self, rows: Sequence[Tensor], seen: Sequence[Tensor], read: Sequence[Tensor] | None, cells: Tensor | None
    ) -> Tensor:
        """Return (rows, response tokens, vocabulary) logits of prompts of several lengths, padded."""
        count = len(self.response)
        tails = [self.response.cpu()] * len(rows) if read is None else read
        whole = list(rows) if self.encodes else [torch.cat([r, t[:-1]]) for r, t in zip(rows, tails, strict=True)]
        looked = [
            torch.cat([s, torch.ones(len(w), dtype=torch.bool)])[: len(w)] for s, w in zip(seen, whole, strict=True)
        ]
        side = "right" if self.encodes else self.padding
        ids, real = _padded(whole, side), _padded([torch.ones_like(w) for w in whole], side)
        mask = _padded([m.long() for m in looked], side)
        name = f"{self._text}attention_mask"
        call: Keywords = {name: mask} if name in self.takes else {}
        if self.encodes:
            call |= {"decoder_input_ids": self._decoder_ids(len(rows))}
        elif self.media is not None:
            call |= self._beside(cells, ids)
        elif "position_ids" in self.takes:
            call["position_ids"] = (real.cumsum(1) - 1).clamp_min(0)
        if not self.encodes and side == "left" and "logits_to_keep" in self.takes:
            call["logits_to_keep"] = count
        call = self._here({f"{self._text}input_ids": ids, **call})
        logits = select_output(self.model(**call, **self._plain()))
        if self.encodes or side == "left" or logits.ndim != 3:
            return logits[:, -count:]
        first = torch.tensor([len(row) - 1 for row in rows])
        places = (first[:, None] + torch.arange(count)).to(logits.device)
        return logits[torch.arange(len(rows), device=logits.device)[:, None], places]

    def _plain(self) -> Keywords:
        return {"use_cache": False} if "use_cache" in self.takes else {}

    def _decoder_ids(self, rows: int) -> Tensor:
        """Return (rows, response tokens) what the decoder reads: the id that begins an answer, then the response."""
        config = self.base.config
        start = getattr(config, "decoder_start_token_id", None)
        if start is None:
            start = getattr(getattr(self.base, "generation_config", None), "decoder_start_token_id", None)
        if start is None:
            raise ArgumentError("model: its configuration has no decoder_start_token_id, with which an answer begins")
        begun = torch.cat([torch.tensor([start], device=self.device), self.response[:-1].to(self.device)])
        return begun.expand(rows, -1)

    def _taken(self, logits: Tensor) -> Tensor:
        kind = torch.promote_types(logits.dtype, torch.float32)
        if logits.ndim != 3:
            raise ArgumentError(
                f"model: expected logits (rows, tokens, vocabulary), got {tuple(logits.shape)}: it writes no text; "
                "auto_explain explains models of other kinds"
            )
        if int(self.response.max()) >= logits.shape[-1] or int(self.response.min()) < 0:
            raise ArgumentError(
                f"responses: expected ids below {logits.shape[-1]}, of which the model has logits, got "
                f"{int(self.response.max())}"
            )
        logits, ids = logits.to(kind), self.response.to(logits.device).expand(len(logits), -1)[..., None]
        if self.score != "logit":
            logits = logits.log_softmax(-1)
        taken = logits.gather(-1, ids)[..., 0]
        return taken.exp() if self.score == "probability" else taken


def _padded(rows: Sequence[Tensor], side: str) -> Tensor:
    longest = max(len(row) for row in rows)
    pad = [(longest - len(row), 0) if side == "left" else (0, longest - len(row)) for row in rows]
    return torch.stack([nn.functional.pad(row, p) for row, p in zip(rows, pad, strict=True)])


def _finite(scores: Tensor) -> Tensor:
    if not bool(torch.isfinite(scores).all()):
        bad = int((~torch.isfinite(scores)).sum())
        raise NonFiniteError(
            f"score: the model's output for {bad} of {scores.numel()} response tokens is NaN or infinite"
        )
    return scores
