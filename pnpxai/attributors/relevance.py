"""Layer-wise relevance propagation: rules on operations, and zennit's rules on the modules that a composite names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.attributors.rules import Ledger, Rules, canonised, ruled_modules
from pnpxai.engine.batching import Block, in_blocks, row_limit
from pnpxai.engine.guard import borrowed, eager, module_of
from pnpxai.engine.score import Target, gradient
from pnpxai.errors import ArgumentError
from pnpxai.tensors import Tensors, like, own, sum_rows

__all__ = ["LRP", "Relevance"]


@dataclass(frozen=True)
class Relevance:
    """Relevance of the inputs and where the rest of the score went.

    Attributes:
        attributions: relevance in the shape of the inputs.
        score: (examples,) the explained output.
        bias: (examples,) relevance that biases and other constants absorbed.
        epsilon: (examples,) relevance that stabilisers absorbed.
    """

    attributions: Any
    score: Tensor
    bias: Tensor
    epsilon: Tensor

    @property
    def gap(self) -> Tensor:
        """What is unaccounted for (examples,): score - relevance - sinks; zero where every rule conserves."""
        members = self.attributions if isinstance(self.attributions, tuple) else (self.attributions,)
        return self.score - sum(sum_rows(m, self.score.numel()) for m in members) - self.bias - self.epsilon


class LRP(Attributor):
    """Layer-wise relevance propagation. Bach et al., 2015 (doi:10.1371/journal.pone.0130140).

    The output at the target is passed back, each operation sharing what it gets among its operands in proportion to
    their contributions (the epsilon rule; additions included), activations passing it through. On the modules that a
    zennit composite names, its rules are used instead.
    """

    def __init__(self, model: Callable[..., Any], composite: Any = None, *, epsilon: float = 1e-9) -> None:
        """Take a model, a zennit composite for its modules, and the stabiliser of the operations outside of it."""
        super().__init__(model)
        if module_of(model) is None:
            raise ArgumentError(f"model: expected a torch.nn.Module, got {type(model).__name__}; rules need its layers")
        if not epsilon >= 0:
            raise ArgumentError(f"epsilon: expected a number >= 0, got {epsilon!r}")
        self.model = model
        self.composite = composite
        self.epsilon = epsilon

    @property
    def multiplies_by_inputs(self) -> bool:
        """Always True."""
        return True

    def has_convergence_delta(self) -> bool:
        """Return True."""
        return True

    def compute_convergence_delta(self, attributions: Tensor | Tensors, output: Tensor) -> Tensor:  # type: ignore[override]
        """Return (examples,) ``output - sum(attributions)``, ``output`` being the explained one (examples,)."""
        members = attributions if isinstance(attributions, tuple) else (attributions,)
        return output - sum(sum_rows(m, output.shape[0]) for m in members)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        verbose: bool = False,
    ) -> Any:
        """Return relevance in the shape of ``inputs``, and with ``return_convergence_delta`` F - sum (examples,).

        Raises:
            RuleError: an operation of the model has no rule; the message names it.
        """
        found = self.relevance(inputs, target, additional_forward_args, verbose=verbose)
        if not return_convergence_delta:
            return found.attributions
        return found.attributions, self.compute_convergence_delta(found.attributions, found.score)

    def attribute_with_gap(self, inputs: Any, **arguments: Any) -> tuple[Any, Tensor | None]:
        """Return relevance and what remains unaccounted for after biases and stabilisers took their parts."""
        found = self.relevance(inputs, **arguments)
        return found.attributions, found.gap

    def relevance(
        self, inputs: Any, target: Target = None, additional_forward_args: Any = None, *, verbose: bool = False
    ) -> Relevance:
        """Return the attributions with the score and the relevance that biases and stabilisers took."""
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            totals = tuple(torch.zeros_like(x) for x in tensors)
            scores, bias, epsilon = (tensors[0].new_zeros(score.size) for _ in range(3))

            rules = Rules(self.epsilon)
            ruled = replace(score, forward=partial(rules.run, eager(self.forward_func)))

            def visit(block: Block) -> None:
                part = slice(block.examples.start, block.examples.stop)
                rules.ledger = Ledger(len(block))
                given = tuple(own(x[part]) for x in tensors)
                relevances, values = gradient(ruled.take(block.rows), given, seed_by_score=True)
                for total, share in zip(totals, relevances, strict=True):
                    total[part] = share
                scores[part], bias[part], epsilon[part] = values, rules.ledger.bias, rules.ledger.epsilon

            model = eager(module_of(self.forward_func))
            with canonised(model, self.composite) as of_modules, ruled_modules(of_modules, rules, verbose):
                in_blocks(score.size, 1, row_limit(tensors, score.extra), visit)
            return Relevance(like(inputs, totals), scores, bias, epsilon)
