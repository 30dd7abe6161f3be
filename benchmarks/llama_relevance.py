"""Relevance of a small Llama by this package, by lxt (Achtibat et al., 2024), and the plain gradient beside them."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel
from transformers.models.llama import modeling_llama

import pnpxai.attributors


class Llama(nn.Module):
    """Seven layers, 512 wide; (examples, tokens, 512) to scores of 100 tokens that may follow."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"vocab_size": 100, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 7}
        heads = {"num_attention_heads": 8, "num_key_value_heads": 8, "attn_implementation": "sdpa"}
        self.model = LlamaModel(LlamaConfig(**sizes, **heads))
        self.head = nn.Linear(512, 100, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of the next token."""
        return self.head(self.model(inputs_embeds=x, use_cache=False).last_hidden_state[:, -1])


class _Attentions(dict[str, object]):
    """A table of attention functions as transformers asks it: lxt leaves a plain one."""

    def get_interface(self, name: str, default: object) -> object:
        """Return the function of a name."""
        return self.get(name, default)


@contextlib.contextmanager
def patched() -> Iterator[None]:
    """Let Llama's classes follow lxt's rules.

    Raises:
        ImportError: lxt is not installed.
    """
    import lxt  # noqa: F401  (says so where it is missing, before its parts are shimmed)

    # its module for BERT asks for names that transformers no longer has
    stub = types.ModuleType("lxt.efficient.models.bert")
    vars(stub).update(modeling_bert=types.ModuleType("modeling_bert"), attnLRP={})
    sys.modules.setdefault("lxt.efficient.models.bert", stub)
    from lxt.efficient import monkey_patch

    m = modeling_llama
    places = [(m.LlamaMLP, "forward"), (m.LlamaRMSNorm, "forward"), (nn.Dropout, "forward")]
    places += [(m, "eager_attention_forward"), (m, "ALL_ATTENTION_FUNCTIONS")]
    before = [getattr(*place) for place in places]
    try:
        monkey_patch(m)
        m.ALL_ATTENTION_FUNCTIONS = _Attentions(m.ALL_ATTENTION_FUNCTIONS)
        yield
    finally:
        for (holder, name), value in zip(places, before, strict=True):
            setattr(holder, name, value)


def ours(model: nn.Module, x: Tensor) -> Tensor:
    """Return relevance by this package."""
    return pnpxai.attributors.LRP(model).attribute(x, target=3)


def gradient(model: nn.Module, x: Tensor) -> Tensor:
    """Return the plain gradient times the input."""
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(model(leaf)[:, 3].sum(), leaf)[0] * x


def theirs(model: nn.Module, x: Tensor) -> Tensor:
    """Return relevance by lxt: the gradient under its rules, times the input."""
    with patched():
        return gradient(model, x)
