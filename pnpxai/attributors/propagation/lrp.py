"""Layer-wise relevance propagation: rules on operations, and zennit's rules on the modules that a composite names."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Outcome, prepared
from pnpxai.attributors.propagation.captum_rules import PropagationRule
from pnpxai.attributors.propagation.composites import Composite
from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.attributors.propagation.relevance.ruled_model import Rules
from pnpxai.attributors.propagation.relevance.ruled_modules import canonised, edits_in_place, reported, ruled_modules
from pnpxai.engine.running.batching import Block, in_blocks, row_limit
from pnpxai.engine.running.gradients import gradient
from pnpxai.engine.running.guard import borrowed, eager, module_of
from pnpxai.engine.running.layers import single_runs
from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.engine.running.row_independence import rows_are_apart
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.site import AtSites, Call, Place, Side, find_places
from pnpxai.errors import ArgumentError, SignatureError, UnsuitableError
from pnpxai.model_types import Attributions, ForwardArgs, Layer, Model, ModelInputs
from pnpxai.tensors import Tensors, like, own, sum_rows

if TYPE_CHECKING:
    from zennit.canonizers import Canonizer
    from zennit.core import Composite as ZennitComposite

__all__ = ["LRP", "LayerLRP", "Relevance"]


@dataclass(frozen=True)
class Relevance:
    """Relevance of the inputs and where the rest of the score went.

    Attributes:
        attributions: relevance in the shape of the inputs.
        score: (examples,) the explained output.
        bias: (examples,) relevance that biases and other constants absorbed.
        epsilon: (examples,) relevance that stabilisers absorbed.
        rest: (examples,) relevance that rules which do not conserve by design left over (softmax).
    """

    attributions: Attributions
    score: Tensor
    bias: Tensor
    epsilon: Tensor
    rest: Tensor

    @property
    def gap(self) -> Tensor:
        """What is unaccounted for (examples,): score - relevance - sinks; zero where every rule conserves."""
        members = self.attributions if isinstance(self.attributions, tuple) else (self.attributions,)
        kept = sum(sum_rows(m, self.score.numel()) for m in members)
        return self.score - kept - self.bias - self.epsilon - self.rest


class LRP(Attributor):
    """Layer-wise relevance propagation. Bach et al., 2015 (doi:10.1371/journal.pone.0130140).

    The output at the target is passed back, each operation sharing what it gets among its operands in proportion to
    their contributions (the epsilon rule; additions included), activations passing it through, factors halving it,
    gates and norms taken for constants, softmax by its Taylor term (Achtibat et al., 2024, arXiv:2402.05602). At layers
    a ``Composite``, or on the modules that it names a composite of zennit, has its rules used instead; a module's own
    ``rule`` comes first.
    """

    _multiply_by_inputs = True
    _has_convergence_delta = True

    def __init__(
        self, model: Model, composite: Composite | ZennitComposite | None = None, *, epsilon: float = 1e-9
    ) -> None:
        """Take a model, a composite (of zennit too), and the stabiliser of the operations outside of it."""
        super().__init__(model)
        module = module_of(model)
        if module is None:
            raise ArgumentError(f"model: expected a torch.nn.Module, got {type(model).__name__}; rules need its layers")
        if not epsilon >= 0:
            raise ArgumentError(f"epsilon: expected a number >= 0, got {epsilon!r}")
        for name, layer in module.named_modules():
            if hasattr(layer, "rule") and not isinstance(layer.rule, (PropagationRule, type(None))):
                raise SignatureError(
                    f"model: expected a PropagationRule as the rule of layer {name!r}, got {layer.rule!r}"
                )
        self.model = model
        self.composite = composite
        self.epsilon = epsilon

    def compute_convergence_delta(self, attributions: Tensor | Tensors, output: Tensor) -> Tensor:  # type: ignore[override]
        """Return (examples,) ``output - sum(attributions)``, ``output`` being the explained one (examples,)."""
        members = attributions if isinstance(attributions, tuple) else (attributions,)
        return output - sum(sum_rows(m, output.shape[0]) for m in members)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        return_convergence_delta: bool = False,
        verbose: bool = False,
    ) -> Attributions:
        """Return relevance in the shape of ``inputs``, and with ``return_convergence_delta`` F - sum (examples,).

        With ``verbose``, a line for each layer, operation and rule is printed.

        Raises:
            RuleError: an operation of the model has no rule; the message names it.
        """
        result = self._relevance(inputs, target, additional_forward_args, verbose, sinks=self.composite is not None)
        if not return_convergence_delta:
            return result.attributions
        return result.attributions, self.compute_convergence_delta(result.attributions, result.score)

    def attribute_detailed(self, inputs: ModelInputs, **arguments: Any) -> Outcome:
        """Return relevance, what remains unaccounted for, and what biases, stabilisers and other rules took."""
        result = self.relevance(inputs, **arguments)
        return Outcome(result.attributions, result.gap, {name: getattr(result, name) for name in _SINKS})

    def relevance(
        self,
        inputs: ModelInputs,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        *,
        verbose: bool = False,
    ) -> Relevance:
        """Return the attributions with the score and the relevance that went elsewhere."""
        return self._relevance(inputs, target, additional_forward_args, verbose)

    def _relevance(
        self, inputs: ModelInputs, target: Target, extra: ForwardArgs, verbose: bool, *, sinks: bool = True
    ) -> Relevance:
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, extra)
            result = self._propagated(score, tensors, (), verbose, sinks)
            return replace(result, attributions=like(inputs, result.attributions))

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return one row for each example, two where canonizers have to prove that they keep the scores."""
        return super().cost(inputs, **settings) * (2 if self._canonizers else 1)

    @property
    def _canonizers(self) -> Sequence[Canonizer]:
        return tuple(self.composite.canonizers) if self.composite is not None else ()

    def _propagated(
        self, score: Score, inputs: Tensors, places: Sequence[Place], verbose: bool, noted: bool = True
    ) -> Relevance:
        """Return relevance of the inputs, or of the values at places, a few examples at a time.

        Where sinks are not noted, those of the result are zero.
        """
        parts: list[tuple[Block, Tensors]] = []
        sums = {name: inputs[0].new_zeros(score.size, dtype=_number(inputs)) for name in ("score", *_SINKS)}
        model = eager(self.forward_func)
        rules = Rules(self.epsilon, self.composite if isinstance(self.composite, Composite) else None)
        rules.copies = edits_in_place(module_of(self.forward_func))

        def visit(block: Block) -> None:
            rules.ledger = Ledger(len(block), silent=not noted)
            part = slice(block.examples.start, block.examples.stop)
            given = tuple(own(x) for x in _rows(inputs, block))
            chunk = score.take(block.rows)
            shares, values = _ruled_pass(chunk, given, places, rules, model)
            sinks = {name: torch.as_tensor(getattr(rules.ledger, name)) for name in _SINKS}
            left = values - sum(sum_rows(s, len(block)) for s in shares) - sum(sinks.values())
            if noted and len(block) > 1 and apart and not places and bool((left.abs() > 1e-3 * values.abs()).any()):
                # a model that puts the batch elsewhere than first mixes the sinks of examples: take them one by one
                for half in block.split():
                    visit(half)
                return
            parts.append((block, shares))
            for name, value in {"score": values, **sinks}.items():
                if values.numel() < len(block):  # one score for the whole batch
                    sums[name] = value.to(sums[name]).sum().reshape(1)
                else:
                    sums[name][part] = value.to(sums[name])

        whole = module_of(self.forward_func)
        assert whole is not None  # noqa: S101  (checked when this was made)
        limit = row_limit(inputs, score.extra)
        apart = score.size == 1 or rows_are_apart(score, inputs, limit)  # before rules change what the model does
        plain = perturbed_scores(score, partial(_rows, inputs), 1, inputs)[:, 0] if self._canonizers else None
        report = reported(whole, rules) if verbose else contextlib.nullcontext()
        with report, canonised(whole, self.composite) as of_modules, ruled_modules(of_modules, rules, verbose):
            in_blocks(score.size, 1, limit, visit, apart=lambda: apart)
        if plain is not None:
            _check_canonised(plain, sums["score"])
        parts.sort(key=lambda part: part[0].examples.start)
        joined = tuple(torch.cat(members) for members in zip(*(shares for _, shares in parts), strict=True))
        return Relevance(joined, sums["score"], *(sums[name] for name in _SINKS))


class LayerLRP(LRP):
    """Relevance at layers: what ``LRP`` passes through them on its way to the inputs."""

    def __init__(
        self, model: Model, layer: Layer, composite: Composite | ZennitComposite | None = None, *, epsilon: float = 1e-9
    ) -> None:
        """Take a model and a layer, a list of layers, or None for all that run once."""
        super().__init__(model, composite, epsilon=epsilon)
        self.layer = layer

    def attribute(  # type: ignore[override]
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        verbose: bool = False,
    ) -> Attributions:
        """Return relevance in the layer's shape, and with ``return_convergence_delta`` F - sum (examples,).

        For a list of layers (or None: all of them, in the order of their runs) both are lists; a layer with several
        tensors gives a tuple.

        Args:
            return_convergence_delta: return deltas too.
            attribute_to_layer_input: look at what goes into the layers.
            verbose: print which rule is used where.
        """
        side = "input" if attribute_to_layer_input else "output"
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            call = Call((*tensors, *score.extra))
            places = self._places(call, side)
            counts = AtSites(self.forward_func, places).read(call, alone=False).call.counts
            result = self._propagated(score, tensors, places, verbose)
        results, deltas, start = [], [], 0
        for count in counts:
            members = result.attributions[start : start + count]
            start += count
            results.append(members[0] if count == 1 else members)
            deltas.append(self.compute_convergence_delta(members, result.score))
        several = self.layer is None or isinstance(self.layer, (list, tuple))
        answer, delta = (results, deltas) if several else (results[0], deltas[0])
        return (answer, delta) if return_convergence_delta else answer

    def _places(self, call: Call, side: Side) -> tuple[Place, ...]:
        if self.layer is not None:
            return find_places(self.forward_func, self.layer, side)
        return single_runs(self.forward_func, call, side)


_SINKS = ("bias", "epsilon", "rest")


def _rows(inputs: Tensors, block: Block) -> Tensors:
    return tuple(x[block.examples.start : block.examples.stop] for x in inputs)


def _check_canonised(plain: Tensor, canonised: Tensor) -> None:
    """Refuse canonizers that change the scores."""
    off = float((plain - canonised.to(plain)).abs().max())
    # merged statistics leave out a normalisation's own epsilon, which is a matter of digits
    if not off <= max(1e-3, torch.finfo(plain.dtype).eps ** 0.5) * max(1.0, float(plain.abs().max())):
        raise UnsuitableError(
            f"zennit_canonizers: with them the model gives other scores, off by up to {off:.2g} (as where "
            "SequentialMergeBatchNorm meets layers registered in another order than they run); leave them out: batch "
            "normalisation is merged as the model runs"
        )


def _ruled_pass(
    score: Score, inputs: Tensors, places: Sequence[Place], rules: Rules, model: Model
) -> tuple[Tensors, Tensor]:
    """Return relevance of the inputs, or at places, and the scores.

    Steps share memory with the model's own values as long as the model edits none of them in place.
    """
    try:
        return _passed_back(score, inputs, places, rules, model)
    except RuntimeError as problem:
        if rules.copies or "modified by an inplace operation" not in str(problem):
            raise
        rules.copies, rules.ledger = True, replace(rules.ledger, bias=0.0, epsilon=0.0, rest=0.0)
        return _passed_back(score, inputs, places, rules, model)


def _passed_back(
    score: Score, inputs: Tensors, places: Sequence[Place], rules: Rules, model: Model
) -> tuple[Tensors, Tensor]:
    if not places:
        return gradient(rules.score(replace(score, forward=model)), inputs, seed_by_score=True)
    at = AtSites(model, places)
    held: list[list[Tensor]] = [[] for _ in places]

    def watch(k: int, tensor: Tensor) -> Tensor:
        kept = tensor if tensor.requires_grad else own(tensor).requires_grad_()
        held[k].append(kept)
        return kept.clone()

    watched = rules.score(replace(score, forward=lambda *inner: at.run(Call(inner), watch)))
    values = watched(tuple(own(x).requires_grad_(x.is_floating_point()).clone() for x in inputs))
    if not values.requires_grad:
        raise ArgumentError("layer: the score does not depend on the layers through differentiable operations")
    members = [tensor for group in held for tensor in group]
    relevance = torch.autograd.grad(values, members, values.detach(), allow_unused=True, materialize_grads=True)
    return tuple(r.detach() for r in relevance), values.detach()


def _number(inputs: Tensors) -> torch.dtype:
    return next((x.dtype for x in inputs if x.is_floating_point()), torch.get_default_dtype())
