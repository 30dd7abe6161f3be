"""Which output of a model is explained by default, as far as its class, its configuration and its output tell."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from pnpxai.auto.estimators import EstimatorModel
from pnpxai.auto.graph_model import GraphModel
from pnpxai.auto.picture_targets import picture_target
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import adapted_module, borrowed, module_of
from pnpxai.engine.running.score import select_output
from pnpxai.errors import ArgumentError
from pnpxai.example_targets import largest
from pnpxai.model_types import Keywords, Model, ModelOutput
from pnpxai.targets import TargetValue
from pnpxai.targets.base import Indices, index_rows, output_of

__all__ = ["DefaultTarget", "Span", "default_target", "generation_keywords", "needed_ids"]

Head: TypeAlias = Callable[[Model, ModelOutput, Arguments], "DefaultTarget"]


@dataclasses.dataclass(frozen=True)
class DefaultTarget:
    """The outputs that are explained of one batch.

    Attributes:
        value: an index for each example, a target, or None for a model with one output.
        words: which outputs these are.
    """

    value: Tensor | TargetValue | None
    words: str


class Span(TargetValue):
    """The score of an answer: that of its first token as a start and that of its last token as an end."""

    start: Indices
    """The place of the first token."""
    end: Indices
    """The place of the last token."""

    per_example: ClassVar[dict[str, int]] = {"start": 0, "end": 0}

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return the sums of both scores."""
        starts, ends = (output_of(output, name) for name in ("start_logits", "end_logits"))
        return index_rows(starts, self.start) + index_rows(ends, self.end)


def default_target(model: Model, output: ModelOutput, arguments: Arguments) -> DefaultTarget:
    """Return what is explained of a batch if the user does not say it.

    Language models: the likeliest next token. Token classifiers: the surest entity of each text. Models that answer
    questions: the likeliest span. Segmentations: the largest segment of each picture. Detectors: the surest box of each
    picture. Other models with one axis of outputs: the largest output.

    Args:
        model: the model.
        output: its output for the batch.
        arguments: the batch.

    Raises:
        ArgumentError: there is no right default; the message says what can be asked.
    """
    if (head := _HEADS.get(_head_name(model))) is not None:
        return head(model, output, arguments)
    if (name := _forecast(model, output)) is not None:
        _refuse_forecast(output, name)
    if (places := picture_target(output, _head_name(model), _config(model))) is not None:
        return DefaultTarget(*places)
    if isinstance(model, GraphModel) and isinstance(output, Tensor) and output.ndim == 3:
        raise ArgumentError(
            f"target: the model gives {output.shape[2]} numbers for each of {output.shape[1]} nodes; say which node "
            "and class to explain: target=(node, class)"
        )
    if isinstance(model, EstimatorModel) and not model.knows_classes and output.shape[1] > 1:
        raise ArgumentError(
            f"target: {model.__name__} predicts {output.shape[1]} numbers for each row, of which none is a class; say "
            "which to explain: target=0 for the first"
        )
    index = largest(output)
    _refuse_other_size(model, select_output(output), arguments)
    return DefaultTarget(index, "the only output" if index is None else "the largest output of each example")


def needed_ids(model: Model) -> tuple[int, ...]:
    """Return the ids of tokens that a model needs: a classifier with a decoder reads its state at the text's end."""
    config = _config(model)
    end = getattr(config, "eos_token_id", None)
    reads_end = getattr(config, "is_encoder_decoder", False) and _head_name(model) == "SequenceClassification"
    return (end,) if reads_end and isinstance(end, int) else ()


def generation_keywords(model: Model, ids: Tensor | None) -> Keywords:
    """Return keyword arguments that a language model needs to explain its next token: no cache, a begun answer.

    Args:
        model: the model.
        ids: (examples, tokens) its input.
    """
    config, name = _config(model), _head_name(model)
    if config is None or ids is None or name not in ("CausalLM", "ConditionalGeneration"):
        return {}
    keywords: Keywords = {"use_cache": False} if getattr(config, "use_cache", None) is not None else {}
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:
        start = getattr(getattr(adapted_module(model), "generation_config", None), "decoder_start_token_id", None)
    if name == "ConditionalGeneration" and getattr(config, "is_encoder_decoder", False) and start is not None:
        keywords["decoder_input_ids"] = torch.full((len(ids), 1), int(start), dtype=torch.long, device=ids.device)
    return keywords


def _next_token(model: Model, output: ModelOutput, arguments: Arguments) -> DefaultTarget:
    logits = select_output(output)
    if logits.ndim != 3:
        return DefaultTarget(largest(output), "the largest output of each example")
    places = _last_places(logits, arguments)
    rows = torch.arange(len(logits), device=logits.device)
    tokens = logits[rows, places].argmax(-1)
    return DefaultTarget(torch.stack([places, tokens], 1), "the likeliest next token of each text")


def _last_places(logits: Tensor, arguments: Arguments) -> Tensor:
    """Return (examples,) the place of the last token that the attention mask leaves, in the logits."""
    count = logits.shape[1]
    last = torch.full((len(logits),), count - 1, device=logits.device)
    mask = arguments.keywords.get("attention_mask")
    if isinstance(mask, Tensor) and mask.shape == logits.shape[:2]:
        places = torch.arange(count, device=mask.device)
        return (mask.bool() * places).amax(1).to(logits.device)
    return last


def _masked_token(model: Model, output: ModelOutput, arguments: Arguments) -> DefaultTarget:
    logits, ids = select_output(output), arguments.explained[0]
    mask = getattr(_config(model), "mask_token_id", None)
    at_mask = ids == mask if mask is not None else torch.zeros_like(ids, dtype=torch.bool)
    if logits.ndim != 3 or not bool((at_mask.sum(1) == 1).all()):
        raise ArgumentError(
            f"target: the model gives a score for each word of the vocabulary at each position, "
            f"{tuple(logits.shape[1:])} numbers; say which to explain: target=(position, token id)"
        )
    rows, places = torch.arange(len(ids), device=ids.device), at_mask.int().argmax(1)
    tokens = logits[rows, places].argmax(-1)
    return DefaultTarget(torch.stack([places, tokens], 1), "the likeliest word at the mask")


def _surest_entity(model: Model, output: ModelOutput, arguments: Arguments) -> DefaultTarget:
    logits = select_output(output)
    if logits.ndim != 3:
        return DefaultTarget(largest(output), "the largest output of each example")
    scores = logits.detach().clone()
    names = getattr(_config(model), "id2label", None) or {}
    outside = [int(k) for k, name in names.items() if str(name).upper() in ("O", "OUTSIDE", "NONE")]
    if len(outside) < scores.shape[2]:
        scores[:, :, outside] = -torch.inf
    mask = arguments.keywords.get("attention_mask")
    if isinstance(mask, Tensor) and mask.shape == scores.shape[:2]:
        scores[~mask.bool()] = -torch.inf
    best = scores.flatten(1).argmax(1)
    index = torch.stack([best // scores.shape[2], best % scores.shape[2]], 1)
    return DefaultTarget(
        index, "the surest label but 'O' of a token, in each text; target=(position, label) asks another"
    )


def _answer(model: Model, output: ModelOutput, arguments: Arguments) -> DefaultTarget:
    if getattr(output, "start_logits", None) is None:  # it chooses among answers, as those to pictures do
        return DefaultTarget(largest(output), "the largest output of each example")
    starts, ends = output_of(output, "start_logits").detach(), output_of(output, "end_logits").detach()
    mask = arguments.keywords.get("attention_mask")
    hidden = torch.zeros_like(starts, dtype=torch.bool)
    if isinstance(mask, Tensor) and mask.shape == starts.shape:
        hidden = ~mask.bool()
    spans = []
    for start, end, left_out in zip(starts, ends, hidden, strict=True):
        sums = (start[:, None] + end[None, :]).triu().masked_fill(left_out[:, None] | left_out[None, :], -torch.inf)
        sums = sums.masked_fill(~torch.ones_like(sums, dtype=torch.bool).triu(), -torch.inf)
        best = int(sums.argmax())
        spans.append((best // len(start), best % len(start)))
    first, last = zip(*spans, strict=True)
    return DefaultTarget(Span(first, last), "the likeliest answer of each text")


_HEADS: dict[str, Head] = {
    "CausalLM": _next_token,
    "ConditionalGeneration": _next_token,
    "MaskedLM": _masked_token,
    "TokenClassification": _surest_entity,
    "QuestionAnswering": _answer,
}
"""What transformers calls a kind of head, and what is explained of it."""
_HORIZONS = ("prediction_length", "horizon", "pred_len", "forecast_length", "forecast_horizon", "n_ahead")
"""What models call the number of steps that they forecast."""


def _head_name(model: Model) -> str:
    """Return the kind of head that the class of a transformers model states, empty for other models."""
    inner = adapted_module(model)
    if _config(inner) is None:
        return ""
    for cls in type(inner).__mro__:
        if cls.__name__.endswith(("LMHeadModel", "LMHead")):
            return "CausalLM"
        if match := re.search(r"For([A-Z]\w*?)(Simple)?$", cls.__name__):
            return match[1]
    return ""


def _config(model: Model | None) -> object:
    config = getattr(adapted_module(model), "config", None)
    return config if hasattr(config, "to_dict") else None


def _forecast(model: Model, output: ModelOutput) -> str | None:
    """Return the name of the output, empty for the only one, if the model says that it forecasts; else None."""
    if _head_name(model).endswith(("Classification", "Regression", "Pretraining")):
        return None
    if isinstance(output, Mapping) and "prediction_outputs" in output:
        return "prediction_outputs"
    module = module_of(model)
    holders = [module, _config(model), getattr(module, "config", None)]
    says = any(isinstance(getattr(holder, name, None), int) for holder in holders for name in _HORIZONS)
    named = re.search("forecast|predictionhead|forprediction", type(module).__name__, re.IGNORECASE) is not None
    if not (says or named):
        return None
    try:
        steps = select_output(output)
    except ArgumentError:
        return None
    return "" if steps.ndim > 1 and steps[0].numel() > 1 else None


def _refuse_forecast(output: ModelOutput, name: str) -> None:
    steps = output_of(output, name or None)
    if steps[0].numel() == 1:
        return
    given = f", output={name!r}" if name else ""
    raise ArgumentError(
        f"target: the model forecasts {tuple(steps.shape[1:])} numbers for each series, of which none is a class; say "
        f"which step of the horizon to explain: target=pnpxai.targets.Horizon(0, 1{given}) for the first step, "
        f"Horizon({'' if not name else given[2:]}) for the mean of all"
    )


def _refuse_other_size(model: Model, scores: Tensor, arguments: Arguments) -> None:
    """Refuse an output with another number of examples than the batch, and say if axes seem to be swapped."""
    x = arguments.explained[0]
    if not scores.ndim or x.ndim < 3 or len(scores) != x.shape[1]:
        return
    if len(scores) != len(x) or _outputs_without_last(model, arguments) == x.shape[1]:
        raise ArgumentError(
            f"data: the model gives {len(scores)} outputs for a batch of shape {tuple(x.shape)}: its layout seems to "
            "be (time, examples, channels), with the examples on axis 1; give data (examples, time, channels) and the "
            "model as lambda x: model(x.transpose(0, 1))"
        )


def _outputs_without_last(model: Model, arguments: Arguments) -> int | None:
    """Return how many outputs there are for a series without the last row of its first axis; None if it does not run.

    Where the two axes are equally long, this tells which of them holds the examples.
    """
    if len(arguments.explained) != 1 or len(arguments.explained[0]) < 2:
        return None
    try:
        with borrowed(model, gradients=False):
            scores = select_output(model(arguments.explained[0][:-1]))
    except Exception:  # what a model raises is up to it
        return None
    return len(scores) if scores.ndim else None
