"""Composites: which rule of relevance is used at which kind of layer, found by the operation it runs as."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.kernels import Kernel
from pnpxai.attributors.propagation.relevance.layer_rules import AlphaBeta, OfZennit, epsilon_rule
from pnpxai.attributors.propagation.relevance.ledger import Ledger, Rule
from pnpxai.attributors.propagation.relevance.linear import Affine, Linear
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelOutput
from pnpxai.tensors import Tensors

if TYPE_CHECKING:
    from zennit.canonizers import Canonizer
    from zennit.core import BasicHook

__all__ = ["Composite", "KernelRule", "Make", "RuleName", "kernel_rules_before", "rule_named"]

Make: TypeAlias = Callable[[Kernel, Ledger], Rule]
"""Makes the rule of one call of a layer."""

RuleName: TypeAlias = Literal["epsilon", "gamma", "alpha_beta", "z_plus", "w_square", "flat", "box"]


@dataclass(frozen=True)
class Composite:
    """Rules by kind of layer; a batch normalisation that follows a layer is merged into it.

    Attributes:
        convolution: of convolutions.
        linear: of linear layers (products with constant matrices).
        first: of convolutions that get the inputs themselves, if another one.
        passing: operations that hand all relevance on whole, by name, such as norms.
        sums: how branches that meet share: in proportion to what they contribute; so, with totals by size and of the
            sign of the whole ("balanced"); or by size, place by place, constants getting nothing ("size").
        attention: "taylor": values get half of the relevance of attention, queries and keys the other half, through the
            Taylor term of softmax (Achtibat et al., 2024, arXiv:2402.05602). "constant": attention weights are taken
            for constants, so that values get all (Ali et al., 2022, arXiv:2202.07304).
        canonizers: of zennit, applied to the model meanwhile.
        finish: called with the model's output before relevance is passed back.
    """

    convolution: Make
    linear: Make
    first: Make | None = None
    passing: frozenset[str] = frozenset()
    sums: Literal["proportion", "balanced", "size"] = "proportion"
    attention: Literal["taylor", "constant"] = "constant"
    canonizers: tuple[Canonizer, ...] = ()
    finish: Callable[[ModelOutput], None] | None = None

    def rule(self, kernel: Kernel, ledger: Ledger, *, merged: bool = False) -> KernelRule:
        """Return the rule of one call of a layer; ``merged`` with what follows it, whose value is then computed."""
        if not kernel.is_convolution and kernel.x.ndim != 2:  # a batch normalisation is not merged into it
            kernel = kernel.free()
        make = self.convolution if kernel.is_convolution else self.linear
        if kernel.is_convolution and self.first is not None and not any(kernel_rules_before(kernel.x)):
            make = self.first
        rule = make(kernel, ledger)
        kinds = {Affine: AffineKernelRule, Linear: LinearKernelRule}
        return KernelRule(rule, kernel) if merged else kinds.get(type(rule), KernelRule)(rule, kernel)


@dataclass
class KernelRule:
    """A rule that remembers which layer it belongs to."""

    rule: Rule
    kernel: Kernel

    def share(self, operands: tuple[Tensor, ...], relevance: Tensor) -> tuple[Tensor, ...]:
        """Return what the rule does."""
        return self.rule.share(operands, relevance)


@dataclass
class AffineKernelRule(KernelRule):
    """As ``KernelRule``, of a rule that goes along the graph of the layer itself."""

    def share_along(self, leaves: Tensors, output: Tensor, relevance: Tensor) -> Tensors:
        """Return what the rule does."""
        assert isinstance(self.rule, Affine)  # noqa: S101
        return self.rule.share_along(leaves, output, relevance)


@dataclass
class LinearKernelRule(KernelRule):
    """As ``KernelRule``, of a rule that asks for what the layer gave."""

    def share_of(self, operands: Tensors, value: Tensor, relevance: Tensor) -> Tensors:
        """Return what the rule does."""
        assert isinstance(self.rule, Linear)  # noqa: S101
        return self.rule.share_of(operands, value, relevance)


def kernel_rules_before(value: Tensor) -> Iterator[KernelRule]:
    """Yield the rules of the nearest layers that a value comes from."""
    waiting, seen = [value.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        rule = getattr(node, "rule", None)
        if isinstance(rule, KernelRule):
            yield rule
        else:
            waiting += [parent for parent, _ in node.next_functions]


def rule_named(
    name: RuleName, *, stabilizer: float = 1e-6, epsilon: float = 1e-6, gamma: float = 0.25, alpha: float = 2.0,
    beta: float = 1.0, low: float = -3.0, high: float = 3.0, biases: bool = True,
) -> Make:  # fmt: skip
    """Return a rule of zennit by its name.

    Args:
        name: epsilon, gamma, alpha_beta, z_plus, w_square, flat, or box.
        stabilizer: of all but the epsilon rule.
        epsilon: of the epsilon rule.
        gamma: of the gamma rule.
        alpha: how much positive contributions count.
        beta: how much negative ones do, one less than alpha.
        low: smallest value of an input, for the box.
        high: largest value.
        biases: whether biases of layers get relevance.
    """
    from zennit import rules

    make: dict[str, Callable[[], BasicHook]] = {
        "epsilon": lambda: rules.Epsilon(epsilon),
        "gamma": lambda: rules.Gamma(gamma, stabilizer),
        "alpha_beta": lambda: rules.AlphaBeta(alpha, beta, stabilizer, zero_params=None if biases else "bias"),
        "z_plus": lambda: rules.ZPlus(stabilizer),
        "w_square": lambda: rules.WSquare(stabilizer),
        "flat": lambda: rules.Flat(stabilizer),
        "box": lambda: rules.ZBox(low, high, stabilizer),
    }
    if name not in make:
        raise ArgumentError(f"rule: expected one of {', '.join(make)}, got {name!r}")
    if name == "epsilon":
        return lambda kernel, ledger: epsilon_rule(kernel, epsilon, ledger)
    hook = make[name]()

    def of_kernel(kernel: Kernel, ledger: Ledger) -> Rule:
        if name == "alpha_beta" and torch.finfo(kernel.x.dtype).bits >= 32:
            return AlphaBeta(kernel, alpha, stabilizer, biases, ledger)
        module = kernel.module()
        return OfZennit(hook, module, module.forward, ledger, kernel.own_places)

    return of_kernel
