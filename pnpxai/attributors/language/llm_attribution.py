"""Attribution of generated text by perturbations or gradients, under captum's names."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import ClassVar

import torch
from torch import Tensor, nn

from pnpxai.attributors.base import Attributor
from pnpxai.attributors.gradient.expectations import LayerGradientShap
from pnpxai.attributors.gradient.layer_paths import LayerIntegratedGradients
from pnpxai.attributors.language.base_model import LanguageModel, base_model
from pnpxai.attributors.language.interpretable_inputs import InterpretableInput, TextTemplateInput, TextTokenInput
from pnpxai.attributors.language.llm_result import LLMAttributionResult
from pnpxai.attributors.language.responses import ResponseModel, TokenScore
from pnpxai.attributors.layers import LayerGradientXActivation
from pnpxai.attributors.perturbation.ablation import FeatureAblation
from pnpxai.attributors.perturbation.lime import Lime
from pnpxai.attributors.perturbation.shapley import KernelShap, ShapleyValues, ShapleyValueSampling
from pnpxai.engine.running.guard import borrowed
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Keywords, Tokenizer

__all__ = ["LLMAttribution", "LLMGradientAttribution"]

_WRITES: Keywords = {"max_new_tokens": 25, "do_sample": False, "temperature": None, "top_p": None}


class _OfGeneratedText:
    """What both classes share: the output that is explained, as tokens."""

    SUPPORTED_METHODS: ClassVar[tuple[type, ...]]
    SUPPORTED_INPUTS: ClassVar[tuple[type, ...]]

    def __init__(self, attr_method: Attributor, tokenizer: Tokenizer) -> None:
        if not isinstance(attr_method, self.SUPPORTED_METHODS):
            names = ", ".join(cls.__name__ for cls in self.SUPPORTED_METHODS)
            raise ArgumentError(f"attr_method: expected one of {names}, got {type(attr_method).__name__}")
        self.model: LanguageModel = base_model(attr_method.forward_func)
        self.tokenizer = tokenizer
        self.attr_method = copy(attr_method)
        self.device = self.model.get_input_embeddings().weight.device

    def _target(
        self, inp: InterpretableInput, target: str | Tensor | None, gen_args: Mapping[str, object] | None
    ) -> Tensor:
        """Return the ids (tokens,) of the output that is explained: what is given, or what the model writes."""
        if not isinstance(inp, self.SUPPORTED_INPUTS):
            names = ", ".join(cls.__name__ for cls in self.SUPPORTED_INPUTS)
            raise ArgumentError(f"inp: expected one of {names}, got {type(inp).__name__}")
        if target is None:
            ids = self._ids(inp.to_model_input())[None].to(self.device)
            with borrowed(self.model, gradients=False), torch.no_grad():
                written = self.model.generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), **(gen_args or _WRITES)
                )
            return written[0, ids.shape[1] :].cpu()
        if gen_args is not None:
            raise ArgumentError("gen_args: the target is given, so that nothing is generated; leave one of the two out")
        if isinstance(target, str):
            return torch.tensor(self.tokenizer.encode(target, add_special_tokens=False), dtype=torch.long)
        if not isinstance(target, Tensor):
            raise ArgumentError(f"target: expected a text or a tensor of ids, got {type(target).__name__}")
        return target.detach().cpu()

    def _ids(self, model_input: str | Tensor) -> Tensor:
        if isinstance(model_input, str):
            return torch.as_tensor(self.tokenizer.encode(model_input, return_tensors="pt")).reshape(-1)
        return model_input.reshape(-1)

    def _tokens(self, ids: Tensor) -> list[str]:
        return [self.tokenizer.decode([i]).replace("\n", "\\n").strip() for i in ids.tolist()]


class _Scored:
    """The scores of an output, its sum and each of its tokens, of features present or absent; each row runs once."""

    def __init__(self, owner: LLMAttribution, inp: InterpretableInput, target: Tensor) -> None:
        score: TokenScore = "log_probability"
        self.responses = ResponseModel(owner.model, target, score)
        self.owner, self.inp, self.known = owner, inp, dict[tuple[float, ...], Tensor]()

    def __call__(self, features: Tensor) -> Tensor:
        """Return (rows, 1 + output tokens)."""
        keys = [tuple(row) for row in features.tolist()]
        new = [k for k in dict.fromkeys(keys) if k not in self.known]
        if new:
            rows = [self.owner._ids(self.inp.to_model_input(torch.tensor([k]))) for k in new]  # noqa: SLF001
            found = self.responses.scores(rows).double()
            values = torch.cat([found.sum(1, keepdim=True), found], 1)
            values = values if self.owner.attr_target == "log_prob" else values.exp()
            self.known |= dict(zip(new, values, strict=True))
        return torch.stack([self.known[k] for k in keys]).to(features.device)


class LLMAttribution(_OfGeneratedText):
    """Attributes what a language model writes to features of its prompt, by leaving features out.

    Args:
        attr_method: an attributor that perturbs, made for the model.
        tokenizer: the model's.
        attr_target: "log_prob" or "prob" of the output and of each of its tokens.
    """

    SUPPORTED_METHODS = (FeatureAblation, ShapleyValueSampling, ShapleyValues, Lime, KernelShap)
    SUPPORTED_PER_TOKEN_ATTR_METHODS: ClassVar[tuple[type, ...]] = SUPPORTED_METHODS
    SUPPORTED_INPUTS = (TextTemplateInput, TextTokenInput)

    def __init__(self, attr_method: Attributor, tokenizer: Tokenizer, attr_target: str = "log_prob") -> None:
        super().__init__(attr_method, tokenizer)
        if attr_target not in ("log_prob", "prob"):
            raise ArgumentError(f"attr_target: expected 'log_prob' or 'prob', got {attr_target!r}")
        self.attr_target = attr_target
        self.include_per_token_attr = isinstance(attr_method, self.SUPPORTED_PER_TOKEN_ATTR_METHODS)

    def attribute(
        self,
        inp: InterpretableInput,
        target: str | Tensor | None = None,
        num_trials: int = 1,
        gen_args: Mapping[str, object] | None = None,
        use_cached_outputs: bool = True,
        _inspect_forward: object = None,
        forward_in_tokens: bool = True,
        **kwargs: object,
    ) -> LLMAttributionResult:
        """Return attributions of the output and of each of its tokens; every set of features runs once for all of them.

        Args:
            inp: the prompt.
            target: the output, text or ids; by default what the model writes.
            num_trials: number of runs that are averaged, where absent features are drawn at random.
            gen_args: arguments of the model's ``generate``.
            use_cached_outputs: accepted for compatibility.
            forward_in_tokens: accepted for compatibility: all tokens of the output are scored in one pass.
            **kwargs: passed on to the attributor.
        """
        ids = self._target(inp, target, gen_args)
        total = torch.zeros((), dtype=torch.float64)
        for _ in range(num_trials):
            scored = _Scored(self, inp, ids)
            method = copy(self.attr_method)
            method.forward_func = scored
            rows = [method.attribute(inp.to_tensor().float(), target=k, **kwargs) for k in range(1 + len(ids))]
            total = total + torch.cat(rows).double()
        values = inp.format_attr((total / num_trials).float())
        probabilities = ResponseModel(self.model, ids, "probability").scores([self._ids(inp.to_model_input())])[0]
        return LLMAttributionResult(
            inp.values,
            self._tokens(ids),
            seq_attr=values[0],
            token_attr=values[1:],
            output_probs=probabilities,
            inp=inp,
        )


class LLMGradientAttribution(_OfGeneratedText):
    """Attributes what a language model writes to the tokens of its prompt, by gradients at an embedding layer.

    Args:
        attr_method: an attributor of gradients at a layer, made for the model and its embedding.
        tokenizer: the model's.
    """

    SUPPORTED_METHODS = (LayerGradientShap, LayerGradientXActivation, LayerIntegratedGradients)
    SUPPORTED_INPUTS = (TextTokenInput,)

    def attribute(
        self,
        inp: InterpretableInput,
        target: str | Tensor | None = None,
        gen_args: Mapping[str, object] | None = None,
        **kwargs: object,
    ) -> LLMAttributionResult:
        """Return attributions of log-probabilities of the output and of each of its tokens.

        Args:
            inp: the prompt.
            target: the output, text or ids; by default what the model writes.
            gen_args: arguments of the model's ``generate``.
            **kwargs: passed on to the attributor.
        """
        ids = self._target(inp, target, gen_args)
        method, rows = copy(self.attr_method), []
        features = inp.to_tensor().to(self.device)
        for k in range(len(ids)):
            method.forward_func = _NextToken(self.model, inp, ids, k)
            found = method.attribute(features, **kwargs).detach()
            rows.append(found[:, : found.shape[1] - k].sum(-1))
        values = torch.cat(rows)
        mask = getattr(inp, "itp_mask", None)
        if mask is not None:
            values = values[:, mask[0].to(values.device)]
        return LLMAttributionResult(inp.values, self._tokens(ids), seq_attr=values.sum(0), token_attr=values, inp=inp)


class _NextToken(nn.Module):
    """The log-probability of one token of an output, after those before it."""

    def __init__(self, model: nn.Module, inp: InterpretableInput, target: Tensor, k: int) -> None:
        super().__init__()
        self.model, self.inp, self.given, self.token = model, inp, target[:k], int(target[k])

    def forward(self, features: Tensor) -> Tensor:
        """Return (rows,) log-probabilities."""
        ids = self.inp.to_model_input(features)
        ids = torch.cat([ids, self.given.to(ids).expand(len(ids), -1)], 1)
        return self.model(ids).logits[:, -1].log_softmax(-1)[:, self.token]
