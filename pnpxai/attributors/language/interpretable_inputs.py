"""Texts as features that are present or absent: tokens, or the values of a template. captum's names and arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelInputs, Tokenizer

__all__ = ["InterpretableInput", "TextTemplateInput", "TextTokenInput"]

V = TypeVar("V")
Values: TypeAlias = Sequence[str] | Mapping[str, str]


class InterpretableInput(ABC):
    """What attributors of generated text explain: features that are present (1) or absent (0).

    Attributes:
        values: what the features are called.
        n_itp_features: number of features.
    """

    values: list[str]
    n_itp_features: int

    @abstractmethod
    def to_tensor(self) -> Tensor:
        """Return (1, features) the features as they are, all present."""

    @abstractmethod
    def to_model_input(self, perturbed_tensor: Tensor | None = None) -> ModelInputs:
        """Return what the model reads: a text, or ids (rows, tokens).

        Args:
            perturbed_tensor: (rows, features) which are present; None for all.
        """

    def format_attr(self, itp_attr: Tensor) -> Tensor:
        """Return attributions (outputs, features) as users see them: one for each value."""
        return itp_attr


class TextTokenInput(InterpretableInput):
    """A text whose features are its tokens; an absent one is another token.

    Args:
        text: the text.
        tokenizer: makes ids of it.
        baselines: the id or the token that stands for absent ones.
        skip_tokens: ids or tokens that are always present, and no features.
    """

    def __init__(
        self,
        text: str,
        tokenizer: Tokenizer,
        baselines: int | str = 0,
        skip_tokens: Sequence[int] | Sequence[str] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.inp_tensor: Tensor = torch.as_tensor(tokenizer.encode(text, return_tensors="pt")).reshape(1, -1)
        skipped = [tokenizer.convert_tokens_to_ids(t) if isinstance(t, str) else int(t) for t in skip_tokens or ()]
        self.skip_tokens = skipped or None
        free = [i not in set(skipped) for i in self.inp_tensor[0].tolist()]
        if not any(free):
            raise ArgumentError("skip_tokens: no token of the text is left to be a feature")
        self.itp_mask: Tensor | None = torch.tensor([free]) if skipped else None
        self.itp_tensor: Tensor = self.inp_tensor[:, torch.tensor(free)]
        self.values = tokenizer.convert_ids_to_tokens(self.itp_tensor[0].tolist())
        self.n_itp_features = len(self.values)
        self.baselines = tokenizer.convert_tokens_to_ids(baselines) if isinstance(baselines, str) else int(baselines)

    def to_tensor(self) -> Tensor:
        """Return (1, features) ones."""
        return torch.ones_like(self.itp_tensor)

    def to_model_input(self, perturbed_tensor: Tensor | None = None) -> Tensor:
        """Return ids (rows, tokens), the baseline's where a feature is not 1."""
        if perturbed_tensor is None:
            return self.inp_tensor
        rows, device = len(perturbed_tensor), perturbed_tensor.device
        ids = self.inp_tensor.to(device).repeat(rows, 1)
        absent = perturbed_tensor != 1
        if self.itp_mask is not None:
            places = self.itp_mask[0].to(device).nonzero()[:, 0]
            absent = torch.zeros_like(ids, dtype=torch.bool).index_copy_(1, places, absent)
        return ids.masked_fill(absent, self.baselines)


class TextTemplateInput(InterpretableInput):
    """A template whose features are the values that stand in it.

    Args:
        template: a text with ``{}`` or ``{name}``, or a function of the values that returns a text.
        values: what stands there, in order or by name.
        baselines: what stands there instead of an absent value; by default nothing. A function draws it each time.
        mask: for each value the number of its feature; values of the same number come and go together.
    """

    def __init__(
        self,
        template: str | Callable[..., str],
        values: Values,
        baselines: Values | Callable[[], Values] | None = None,
        mask: Sequence[int] | Mapping[str, int] | None = None,
    ) -> None:
        self.template = template
        self.format_fn: Callable[..., str] = template.format if isinstance(template, str) else template
        self.dict_keys = list(values) if isinstance(values, Mapping) else []
        self.values = self._listed(values, "values")
        self.n_features = len(self.values)
        self.baselines: list[str] | Callable[[], Values] = baselines if callable(baselines) else (
            [""] * self.n_features if baselines is None else self._listed(baselines, "baselines")
        )  # fmt: skip
        self.mask = None if mask is None else self._listed(mask, "mask")
        groups = sorted(set(self.mask)) if self.mask is not None else range(self.n_features)
        self.formatted_mask = [list(groups).index(m) for m in self.mask] if self.mask is not None else list(groups)
        self.n_itp_features = len(groups)

    def _listed(self, given: Sequence[V] | Mapping[str, V], name: str) -> list[V]:
        if bool(self.dict_keys) != isinstance(given, Mapping) or isinstance(given, str):
            raise ArgumentError(
                f"{name}: expected a {'dict' if self.dict_keys else 'list'}, as values are, got {given!r}"
            )
        if self.dict_keys and set(given) != set(self.dict_keys):
            raise ArgumentError(f"{name}: expected the names {self.dict_keys}, got {list(given)}")
        listed = [given[k] for k in self.dict_keys] if isinstance(given, Mapping) else list(given)
        if name != "values" and len(listed) != self.n_features:
            raise ArgumentError(f"{name}: expected {self.n_features}, one for each value, got {len(listed)}")
        return listed

    def to_tensor(self) -> Tensor:
        """Return (1, features) ones."""
        return torch.ones(1, self.n_itp_features)

    def to_model_input(self, perturbed_tensor: Tensor | None = None) -> str:
        """Return the text; of a tensor (1, features), with baselines where a feature is 0."""
        values = list(self.values)
        if perturbed_tensor is not None:
            if len(perturbed_tensor) != 1:
                raise ArgumentError(f"perturbed_tensor: expected one row for one text, got {len(perturbed_tensor)}")
            given = self.baselines
            baselines = self._listed(given(), "baselines") if callable(given) else given
            present = perturbed_tensor[0].tolist()
            values = [v if present[g] else b for v, b, g in zip(values, baselines, self.formatted_mask, strict=True)]
        named = dict(zip(self.dict_keys, values, strict=True)) if self.dict_keys else {}
        return self.format_fn(**named) if named else self.format_fn(*values)

    def format_attr(self, itp_attr: Tensor) -> Tensor:
        """Return (outputs, values): every value has its feature's attribution."""
        return itp_attr[..., torch.tensor(self.formatted_mask, device=itp_attr.device)]
