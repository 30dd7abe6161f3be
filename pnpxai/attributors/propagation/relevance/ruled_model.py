"""A model under rules of relevance: every operation that it runs is replaced by a ruled one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.propagation.composites import Composite
from pnpxai.attributors.propagation.relevance.attention import attention_rule
from pnpxai.attributors.propagation.relevance.choice import Choice, RuledStep, note_places, note_root
from pnpxai.attributors.propagation.relevance.kernels import keep_places, own_places_of
from pnpxai.attributors.propagation.relevance.ledger import Ledger, counted, sink
from pnpxai.attributors.propagation.relevance.norms import norm_rule
from pnpxai.attributors.propagation.relevance.steps import tied
from pnpxai.engine.running.score import Score
from pnpxai.engine.seeing.decompositions import check_same, decomposed, is_compound
from pnpxai.engine.seeing.operation_kinds import AFFINE, ELEMENTWISE, JOINS, MAX_POOLS, ROUTES, SELECTIONS, WRITES
from pnpxai.engine.seeing.operations import (
    Operation,
    Operations,
    carries,
    drops_values,
    in_place,
    operation_name,
    out_of_place,
    with_operands,
)
from pnpxai.engine.seeing.unseen import account_for, drops_gradient, refuse_transforms, refuse_unseen
from pnpxai.errors import RuleError
from pnpxai.model_types import Keywords, ModelOutput, Positional
from pnpxai.tensors import Tensors, flat, map_tensors

__all__ = ["RuledScore", "Rules", "Seen"]

Seen: TypeAlias = Callable[[str, Positional, Keywords, ModelOutput], ModelOutput]

_WINNERS = frozenset({"max", "amax", "min", "amin", "maximum", "minimum", "fmax", "fmin"}) | SELECTIONS
_WINNERS |= MAX_POOLS | {f"{name}_with_indices" for name in MAX_POOLS}
"""Operations that select values; their gradient hands all relevance to these."""
_REPLACES = WRITES | {"pad", "constant_pad_nd", "where", "maximum", "minimum", "fmax", "fmin", "max", "min"}
_REPLACES |= {"pad_packed_sequence", "tril", "triu", "diag", "diag_embed", "block_diag", "im2col", "unfold"}
"""Operations that may put constants in the place of values."""

_CHEAP = ELEMENTWISE - {"rrelu"} | {"neg", "negative", "mul", "multiply", "softmax", "special_softmax"}
_CHEAP |= {"add", "sub", "subtract", "rsub", "div", "divide", "true_divide", "truediv"}
"""Operations that are run again sooner than their results are kept."""


def _unseen(name: str, args: Positional, kwargs: Keywords, result: ModelOutput) -> ModelOutput:
    return result


@dataclass
class Rules:
    """Replaces the operations of a forward pass by ruled ones, which note what they absorb in the present ledger."""

    epsilon: float
    composite: Composite | None = None
    ledger: Ledger = field(default_factory=lambda: Ledger(1))
    seen: Seen = _unseen
    """Gets every operation's name, arguments and result, and returns the result that the model goes on with."""
    checked: bool = False
    """Whether another pass has made sure that compound operations are what their parts give."""
    copies: bool = True
    """Whether steps keep copies of values, as they must where a model edits them in place."""
    report: Callable[[str, str], None] | None = None
    """Gets the name of each ruled operation, and of its rule."""

    def score(self, score: Score) -> RuledScore:
        """Return a score that is computed under these rules, the target's function included."""
        return RuledScore(score.forward, score.size, score.target, score.extra, score.transform, self)

    def replace(self, function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        """Run an operation, ruled where it touches what carries relevance.

        Raises:
            RuleError: there is no rule for it, or something hid what it gets.
        """
        name = operation_name(function)
        result = self._replaced(name, function, args, kwargs)
        if torch.is_grad_enabled():
            account_for(args[0] if name == "setitem" else result)
        return self.seen(name, args, kwargs, result)

    def _replaced(self, name: str, function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        operands, put = with_operands((args, kwargs), carries)
        if not operands or not torch.is_grad_enabled():
            return function(*args, **kwargs)
        if name != "get":
            refuse_unseen("LRP", name, operands)
        if name == "setitem":
            return self._written(function, args)
        if in_place(function, kwargs) and (name not in ROUTES or name in _REPLACES):
            outside, rest, plain = out_of_place(function, args, kwargs)
            return args[0].copy_(self.replace(outside, rest, plain))
        if name in _REPLACES and (name not in _WINNERS or isinstance(args[1] if len(args) > 1 else None, Tensor)):
            args, kwargs = put(*(counted(o, -1, self.ledger) for o in operands))
            result = function(*args, **kwargs)
            if isinstance(result, tuple):  # a padded sequence comes with its lengths
                return (counted(result[0], 1, self.ledger), *result[1:])
            result = counted(result, 1, self.ledger)
            if "pad" in name and self.composite is not None:
                note_places(result, function, operands, put)
            return result
        if (name in ROUTES or name in _WINNERS) and not drops_values(name, args, kwargs):
            result = function(*self._with_sinks(name, args, operands[0]), **kwargs)
            if name in JOINS and self.composite is not None and len(operands) < len(flat(args)):
                note_places(result, function, operands, put)
            return result
        if name in ("log_softmax", "special_log_softmax"):
            with Operations(self.replace):
                return _log_softmax(*args, **kwargs)
        if name == "scaled_dot_product_attention" and self.unwatched:
            step = self._attention(function, args, kwargs, put, operands)
            if step is not None:
                return step
        if self.unwatched and len(operands) == 1:
            norm = norm_rule(name, args, kwargs, operands[0], self.epsilon, self.ledger)
            if norm is not None:
                return self._tied(RuledStep(norm, norm, operands), name, _constants(args, kwargs))
        if is_compound(name, operands) and not (self.composite is not None and name in self.composite.passing):
            return self._decomposed(name, function, args, kwargs)

        def apply(*others: Tensor) -> Tensor:
            new_args, new_kwargs = put(*others)
            return function(*new_args, **new_kwargs)

        step = Choice(self.epsilon, self.composite, self.ledger).of(name, apply, (function, args, kwargs), operands)
        if step is not None:
            again = name in _CHEAP and step.of_operands and not hasattr(step.rule, "share_of")
            cheap = _constants(args, kwargs) if again else None
            result = self._tied(step, name, cheap)
            note_root(name, result, operands)
            return result
        result = function(*args, **kwargs)
        if not drops_gradient(name, result) and not any(t.requires_grad for t in flat(result)):
            return result
        both = " of two values that both carry relevance" if name in AFFINE and len(operands) > 1 else ""
        raise RuleError(f"LRP: no rule for the operation {name!r}{both}; use a gradient or perturbation method instead")

    @property
    def unwatched(self) -> bool:
        """True if attention runs in one step: no one reads its weights, and they have no rules of their own."""
        composite = self.composite
        plain = composite is None or (composite.sums == "proportion" and "softmax" not in composite.passing)
        return plain and self.seen is _unseen

    def _attention(
        self, function: Operation, args: Positional, kwargs: Keywords, put: Operation, operands: list[Tensor]
    ) -> Tensor | None:
        constant = self.composite is not None and self.composite.attention == "constant"
        rule = attention_rule(function, args, kwargs, constant, self.epsilon, self.ledger)
        if rule is None or len({id(o) for o in operands}) < 3:
            return None

        def apply(*others: Tensor) -> Tensor:
            new_args, new_kwargs = put(*others)
            return function(*new_args, **new_kwargs)

        return self._tied(RuledStep(rule, apply, operands), "scaled_dot_product_attention")

    def _tied(self, step: RuledStep, name: str, cheap: list[Tensor] | None = None) -> Tensor:
        if self.report is not None:
            rule = getattr(step.rule, "rule", step.rule)
            self.report(name, type(getattr(rule, "of_sum", rule)).__name__)
        return tied(step.rule, step.function, step.operands, copies=self.copies, cheap=cheap)

    def _written(self, function: Operation, args: Positional) -> None:
        """Write into a value at an index; what constants take the place of is noted."""
        target, index, value = args
        own_places = own_places_of(target)
        with torch.no_grad():
            function(own_places, index, own_places_of(value) if isinstance(value, Tensor) else 0.0)
        written = counted(target.clone(), -1, self.ledger)
        value = counted(value, -1, self.ledger) if isinstance(value, Tensor) and value.requires_grad else value
        function(written, index, value)
        target.copy_(counted(written, 1, self.ledger))
        keep_places(target, own_places != 0)

    def _with_sinks(self, name: str, args: Positional, anchor: Tensor) -> Positional:
        """Let constants that are joined with what carries relevance note what they get."""
        if name not in JOINS:
            return args
        constant = lambda t: not t.requires_grad and t.is_floating_point() and t.ndim > 0  # noqa: E731
        return map_tensors(lambda t: sink(t, anchor, self.ledger) if constant(t) else t, args)

    def _decomposed(self, name: str, function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        with Operations(self.replace):
            parts = decomposed(name, function, _constant, *args, **kwargs)
        if not self.checked:
            with torch.no_grad():
                check_same(name, function(*args, **kwargs), parts)
        return parts


@dataclass(frozen=True)
class RuledScore(Score):
    """A score whose operations follow rules, from the model's inputs to the target."""

    rules: Rules = field(default_factory=lambda: Rules(0.0))

    def __call__(self, inputs: Tensors) -> Tensor:
        """Return the values of the score, with a graph of rules.

        Raises:
            RuleError: an operation has no rule, or something hid it.
        """
        with Operations(self.rules.replace), refuse_transforms("LRP"):
            values = super().__call__(inputs)
        refuse_unseen("LRP", "the score", [values])
        return values

    def select(self, output: ModelOutput) -> Tensor:
        """Return what the target selects of the model's output."""
        composite = self.rules.composite
        if composite is not None and composite.finish is not None:
            composite.finish(output)
        return super().select(output)


def _log_softmax(x: Tensor, dim: int, *rest: object, dtype: torch.dtype | None = None, **more: object) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    return x - torch.logsumexp(x, dim, keepdim=True)


def _constants(args: Positional, kwargs: Keywords) -> list[Tensor]:
    return [tensor for tensor in flat((args, kwargs)) if not tensor.requires_grad]


def _constant(compute: Callable[[], Tensor]) -> Tensor:
    """Take gates and scales for constants: what they scale gets all relevance."""
    with torch.no_grad():
        return compute()
