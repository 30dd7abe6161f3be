"""A language model on prompts: what it writes, and which parts of the prompts it owes that to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from pnpxai.attributors.language.base_model import base_model
from pnpxai.attributors.language.order_of_reading import refuse_what_looks_ahead
from pnpxai.attributors.language.responses import ResponseModel, TokenScore
from pnpxai.auto.generation.drawn_media import drawn_grids
from pnpxai.auto.generation.explanation import ResponseExplanation, ResponseExplanations
from pnpxai.auto.generation.faithfulness import faithfulness
from pnpxai.auto.generation.methods.base import ResponseMethod
from pnpxai.auto.generation.processed_prompts import is_chat, is_processed, processed, tokenizer_of
from pnpxai.auto.generation.prompt_specs import PromptSpec, Sources, Template
from pnpxai.auto.generation.prompts import Prompt, UnitKind, read_prompt
from pnpxai.auto.generation.responses import Response, ResponseKind, read_response
from pnpxai.auto.generation.task import Removal, Task
from pnpxai.declare.marks import Settings
from pnpxai.declare.registry import every
from pnpxai.engine.running.guard import borrowed
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.model_types import Model, Tokenizer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AutoExplanationForGeneration"]

_EXACT = 12


class AutoExplanationForGeneration:
    """Explains what a language model writes: a value for each unit of the response and each unit of the prompt.

    ::

        auto = AutoExplanationForGeneration(model, tokenizer, "The capital of France is")
        explanation = auto.explain()
        explanation.show()              # colours in the terminal; in a notebook, the explanation draws itself
        explanation.to_html("why.html")

    Args:
        model: a decoder or an encoder-decoder model in the form of transformers.
        tokenizer: its tokenizer, or the processor of a model that reads pictures or sound too.
        prompts: one prompt or a list of them. A prompt is a text; a list of messages with "role" and "content", which
            the tokenizer's chat template writes; a ``Template`` with named places; or ``Sources``, a question with
            documents. The content of a message may be a ``Template`` or ``Sources`` too, or, with a processor, a list
            of parts such as {"type": "image", "image": ...}. What a processor or tokenizer makes of one prompt (a
            mapping of tensors) is a prompt as well.
        responses: what is explained for each prompt, text or ids; by default the model writes it.
        units: what is explained of a prompt: "token", "word", "sentence", "slot", "source", "turn"; "auto" takes
            sources or slots where there are some, else words.
        response_units: what is explained of a response: "token", "word", "sentence", or all of it as "response".
        score: what is taken of each token: "log_probability", "logit" or "probability".
        against: another response to every prompt: why this one, not that one? Wholes are compared.
        special: "hold" keeps special tokens and marks of roles always present; "count" explains them too (tokens only).
        prefix: "hold" takes earlier units of the response for given; "count" explains by them too.
        removal: how units are made absent: "drop" does not write them, "mask" keeps the model from looking at them,
            "replace" puts another token there. By default "drop", and "mask" with ``prefix="count"``.
        absent: the id of the token that stands for what is masked or replaced; by default mask, unknown, pad or end.
        generate: arguments of the model's ``generate``; by default it writes 32 tokens greedily.
        grid: rows and columns of cells that a picture is cut into; sound has as many windows as that are cells.

    Raises:
        ArgumentError: says which argument does not fit.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        prompts: PromptSpec | Sequence[PromptSpec],
        responses: str | Tensor | Sequence[str | Tensor] | None = None,
        *,
        units: UnitKind = "auto",
        response_units: ResponseKind | None = None,
        score: TokenScore = "log_probability",
        against: str | Tensor | Sequence[str | Tensor] | None = None,
        special: Literal["hold", "count"] = "hold",
        prefix: Literal["hold", "count"] = "hold",
        removal: Removal | None = None,
        absent: int | None = None,
        generate: Mapping[str, object] | None = None,
        grid: tuple[int, int] = (4, 4),
    ) -> None:
        self.model, self.tokenizer = model, tokenizer_of(tokenizer)
        self._base = base_model(model)
        if score not in ("log_probability", "logit", "probability"):
            raise ArgumentError(f"score: expected 'log_probability', 'logit' or 'probability', got {score!r}")
        if removal not in (None, "drop", "mask", "replace"):
            raise ArgumentError(f"removal: expected 'drop', 'mask' or 'replace', got {removal!r}")
        if prefix not in ("hold", "count"):
            raise ArgumentError(f"prefix: expected 'hold' or 'count', got {prefix!r}")
        if len(grid) != 2 or min(grid) < 1:
            raise ArgumentError(f"grid: expected two numbers of cells from 1 on, got {grid!r}")
        self._alone = isinstance(prompts, (str, Template, Sources)) or is_processed(prompts) or is_chat(prompts)
        given: Any = prompts
        specs: list[Any] = [given] if self._alone else list(given)
        if not specs:
            raise ArgumentError("prompts: expected at least one prompt, got none")
        config = getattr(self._base, "config", None)
        specs = [processed(spec, tokenizer, config, grid) for spec in specs]
        tokenizer = self.tokenizer
        self.prompts = tuple(read_prompt(spec, tokenizer, units, special) for spec in specs)
        kind: ResponseKind = response_units or ("token" if against is None else "response")
        written = self._written(generate) if responses is None else _for_each(responses, len(specs), "responses")
        other = None if against is None else _for_each(against, len(specs), "against")
        self.responses = tuple(self._response(r, kind) for r in written)
        refuse_what_looks_ahead(ResponseModel(model, self.responses[0].ids, media=self.prompts[0].media))
        self._against = None if other is None else tuple(self._response(r, kind) for r in other)
        self._score: TokenScore = score
        self._prefix = prefix
        self._removal: Removal = removal or ("mask" if prefix == "count" else "drop")
        ids = [getattr(tokenizer, f"{name}_token_id", None) for name in ("mask", "unk", "pad", "eos", "bos")]
        self._absent = absent if absent is not None else next((i for i in ids if i is not None), None)

    @cached_property
    def _start(self) -> int | None:
        ids = [getattr(self.tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "pad")]
        return next((i for i in ids if i is not None), None)

    def __len__(self) -> int:
        return len(self.prompts)

    def __repr__(self) -> str:
        first, prompt = self.responses[0], self.prompts[0]
        explained = "all" if first.kind == "response" else f"{len(first.names)} {first.kind}s"
        lines = [
            f"{type(self).__name__} of {type(self._base).__name__}",
            f"  {len(self)} prompt{'s' if len(self) > 1 else ''}; of the first, {len(prompt.units)} {prompt.kind}s "
            f"({len(prompt.ids)} tokens) explain {explained} of {' '.join(first.text.split())[:60]!r}",
            f"  score: {self._scale}; what is absent: {self._removal}; the response so far: {self._prefix}",
        ]
        return "\n".join(lines)

    @property
    def _scale(self) -> str:
        named = {"log_probability": "log-probability", "logit": "logit", "probability": "probability"}[self._score]
        return named if self._against is None else f"{named} less that of the other response"

    def task(self, number: int = 0) -> Task:
        """Return the question of one prompt, which methods and measures of faithfulness take."""
        return Task(
            self.model, self.prompts[number], self.responses[number],
            None if self._against is None else self._against[number], self._score, self._removal, self._absent,
            self._start, self._prefix == "count",
        )  # fmt: skip

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of all methods; controls come last."""
        found = sorted(_methods().items(), key=lambda item: (item[1].control, item[0]))
        return tuple(name for name, _ in found)

    @property
    def recommended(self) -> str:
        """The method that ``explain()`` takes: exact Shapley values up to 12 units, else what costs few passes.

        ``compare()`` measures which one is most faithful to this model on these prompts.
        """
        most = max(len(task.players) for task in map(self.task, range(len(self))))
        return (
            "ShapleyValues" if most <= _EXACT else "ContextCite" if self.prompts[0].kind == "source" else "LeaveOneOut"
        )

    def explain(self, method: str | type[ResponseMethod] | ResponseMethod | None = None, **settings: Any) -> Any:
        """Return a ``ResponseExplanation``, or a list of them where a list of prompts was given.

        Args:
            method: one of ``methods``, or a method with settings; by default the recommended one.
            **settings: of the method, such as ``n_samples``.
        """
        chosen = self._method(method, settings)
        found = ResponseExplanations(self._explained(chosen, k) for k in range(len(self)))
        return found[0] if self._alone else found

    def compare(
        self,
        methods: Sequence[str | ResponseMethod] | None = None,
        *,
        k: Sequence[int] = (1, 3, 5),
        n_ablations: int = 32,
    ) -> pd.DataFrame:
        """Return how faithful methods are, by removing text: a row for each method, prompt and measure.

        Columns are ``method``, ``prompt``, ``measure``, ``value`` (a mean over units of the response), ``rows`` (that
        the method ran) and ``seconds``; ``.groupby(["measure", "method"]).value.mean()`` sums it up. Methods that
        refuse the model are left out, with the reason in ``frame.attrs["refused"]``.

        Args:
            methods: which; by default all, controls included.
            k: how many units are removed by ``top_k_drop``.
            n_ablations: number of held-out ablations of the linear datamodeling score.
        """
        import pandas as pd

        records, refused = [], {}
        for spec in self.methods if methods is None else methods:
            method = self._method(spec, {})
            try:
                found = [self._explained(method, number) for number in range(len(self))]
            except ArgumentError as refusal:
                refused[method.name] = str(refusal)
                continue
            for number, explanation in enumerate(found):
                measured = faithfulness(self.task(number), explanation.values, k=k, n_ablations=n_ablations)
                records += [
                    {"method": method.name, "prompt": number, "measure": name, "value": float(value.nanmean()),
                     "rows": explanation.rows, "seconds": explanation.seconds}
                    for name, value in measured.items()
                ]  # fmt: skip
        frame = pd.DataFrame(records, columns=["method", "prompt", "measure", "value", "rows", "seconds"])
        frame.attrs["refused"] = refused
        return frame

    def _method(self, spec: str | type[ResponseMethod] | ResponseMethod | None, settings: Settings) -> ResponseMethod:
        if isinstance(spec, ResponseMethod):
            return spec.replace(**settings) if settings else spec
        if isinstance(spec, type) and issubclass(spec, ResponseMethod):
            return spec(**settings)
        name, known = self.recommended if spec is None else spec, _methods()
        if name not in known:
            raise ArgumentError(f"method: no method {name!r}{did_you_mean(str(name), known)}")
        return known[name](**settings)

    def _explained(self, method: ResponseMethod, number: int) -> ResponseExplanation:
        task, started = self.task(number), time.perf_counter()
        found = method.values(task)
        prompt, response = task.prompt, task.response
        return ResponseExplanation(
            values=found.values, scores=found.scores, units=prompt.names,
            response_units=response.names, method=repr(method).removeprefix("Prompt"),
            scale=found.scale or self._scale, prompt=prompt.text,
            unit_spans=tuple(unit.span for unit in prompt.units),
            turns=tuple((turn.role, turn.span) for turn in prompt.turns), response=response.text,
            response_spans=response.spans, gap=found.gap, held=found.held, sinks=found.sinks, base=found.base,
            standard_error=found.standard_error, removal=task.removal, notes=found.notes,
            grids=drawn_grids(prompt.media, len(prompt.units)), rows=task.rows,
            seconds=time.perf_counter() - started,
        )  # fmt: skip

    def _response(self, given: str | Tensor, kind: ResponseKind) -> Response:
        forced = None
        if getattr(getattr(self._base, "config", None), "is_encoder_decoder", False):
            config = getattr(self._base, "generation_config", None) or self._base.config
            forced = getattr(config, "forced_bos_token_id", None)
        return read_response(given, self.tokenizer, kind, forced)

    def _written(self, generate: Mapping[str, object] | None) -> list[Tensor]:
        """Return what the model writes after each prompt, without the special tokens at its end."""
        if not callable(getattr(self._base, "generate", None)):
            raise ArgumentError("responses: the model has no generate(); give the responses")
        ends = getattr(self.tokenizer, "pad_token_id", None)
        arguments = {"max_new_tokens": 32, "do_sample": False}
        arguments |= {"pad_token_id": getattr(self.tokenizer, "eos_token_id", None) if ends is None else ends}
        arguments |= dict(generate or {})
        return [self._generated(prompt, arguments) for prompt in self.prompts]

    def _generated(self, prompt: Prompt, arguments: Mapping[str, object]) -> Tensor:
        reads = ResponseModel(self.model, prompt.ids, media=prompt.media)
        with borrowed(self.model, gradients=False), torch.no_grad():
            found = self._base.generate(**reads.generation_call(prompt.ids), **arguments)[0].cpu()
        begun = found[:1] if reads.encodes else prompt.ids
        written = (
            found[len(begun) :] if torch.equal(found[: len(begun)], begun) else found
        )  # speech models leave it out
        fixed = set(getattr(self.tokenizer, "all_special_ids", ()))
        while len(written) and int(written[-1]) in fixed:
            written = written[:-1]
        if not len(written):
            raise ArgumentError(
                "responses: the model ends at once and writes nothing; give the response to be explained"
            )
        return written


def _methods() -> dict[str, type[ResponseMethod]]:
    return {cls.__name__.removeprefix("Prompt"): cls for cls in every(ResponseMethod)}


def _for_each(given: Any, count: int, name: str) -> list[Any]:
    listed = [given] if isinstance(given, (str, Tensor)) else list(given)
    if name == "against" and len(listed) == 1:
        listed = listed * count
    if len(listed) != count:
        raise ArgumentError(f"{name}: expected one for each of {count} prompts, got {len(listed)}")
    return listed
