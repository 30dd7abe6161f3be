"""Computes the part of an input's integrated gradient that flows through one value of a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pnpxai.attributors.base import AtLayerWithFactor, Inputs, prepared
from pnpxai.attributors.baseline_arguments import Baselines, broadcast_baselines
from pnpxai.attributors.gradient.layer_paths import between
from pnpxai.attributors.gradient.paths import Quadrature, quadrature
from pnpxai.attributors.layers import places_of
from pnpxai.attributors.neuron.selection import Selector, selected
from pnpxai.engine.running.batching import Block, row_limit
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.loops import gradient_sum
from pnpxai.engine.running.places import Place
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.site import AtSites, Call
from pnpxai.engine.running.targets import CheckedTarget
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, Model, ModelInputs, ModelOutput
from pnpxai.tensors import Tensors, like

__all__ = ["NeuronConductance"]


class NeuronConductance(AtLayerWithFactor):
    """Computes (x - x') * sum_k w_k dF/dy(x_k) dy/dx(x_k) for one value y of a layer. Dhamdhere et al., 2018.

    The points x_k go straight from the baseline x' to the input x; w_k are the weights of a quadrature rule
    (arXiv:1805.12233). Summed over all values of a layer that nothing bypasses, this is integrated gradients.
    """

    def attribute(
        self,
        inputs: Inputs,
        neuron_selector: Selector,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        n_steps: int = 50,
        method: Quadrature = "riemann_trapezoid",
        internal_batch_size: int | None = None,
        attribute_to_neuron_input: bool = False,
        grad_kwargs: Keywords | None = None,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``.

        Args:
            neuron_selector: the value of the layer, see ``Selector``.
            baselines: inputs at the start of the path.
            n_steps: number of points on the path.
            method: the quadrature rule.
        """
        nodes, weights = quadrature(method, n_steps)
        place = places_of(self.forward_func, self.layer, attribute_to_neuron_input)
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            starts = broadcast_baselines(baselines, tensors)
            through = _Through(self.forward_func, place, selected(neuron_selector), score.target)
            own = (score.target,) if isinstance(score.target, Tensor) else ()
            flow = replace(score, forward=through, target=None, extra=(*score.extra, *own))

            def points(block: Block) -> Tensors:
                part = slice(block.examples.start, block.examples.stop)
                return between(
                    tuple(b[part] for b in starts), tuple(x[part] for x in tensors), [nodes[k] for k in block.steps]
                )

            limit = row_limit(tensors, flow.extra, at_most=internal_batch_size)
            gradients = gradient_sum(flow, tensors, points, weights, limit)
            shares = [
                g * (x - b) if self.multiplies_by_inputs else g
                for g, x, b in zip(gradients, tensors, starts, strict=True)
            ]
            return like(inputs, [share.detach() for share in shares])


@dataclass(frozen=True)
class _Through:
    """Computes y * dF/dy for the chosen value y of a layer, where dF/dy counts as a constant.

    The gradient of this product with respect to the inputs is dF/dy dy/dx, the part of the score's gradient that flows
    through the value. If each example has its own target, the targets come as the last argument.
    """

    model: Model
    places: tuple[Place, ...]
    select: Callable[[ModelOutput], Tensor]
    target: CheckedTarget

    def __call__(self, *args: ModelInputs) -> Tensor:
        target = self.target
        if isinstance(target, Tensor):
            args, target = args[:-1], args[-1]
        values: list[Tensor] = []

        def note(k: int, value: Tensor) -> Tensor:
            # a value that needs no gradient yet becomes a leaf, so that dF/dy exists
            values.append(value if value.requires_grad else value.detach().requires_grad_())
            return values[-1].clone()

        with torch.enable_grad():
            run = partial(AtSites(self.model, self.places).run, visit=note)
            size = next(a.shape[0] for a in args if isinstance(a, Tensor))
            scores = Score(lambda *arguments: run(Call(arguments)), size, target).of_output(run(Call(tuple(args))))
            if not scores.requires_grad:
                raise ArgumentError("model: the score does not depend on the layer through differentiable operations")
            slopes = torch.autograd.grad(scores.sum(), values, retain_graph=True, materialize_grads=True)
        packed = [part[0] if len(part) == 1 else tuple(part) for part in (values, list(slopes))]
        return self.select(packed[0]) * self.select(packed[1]).detach()
