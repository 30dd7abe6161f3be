"""How much a map moves when its input hardly does."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from pnpxai.attributors.padding import unseen, without
from pnpxai.engine.running.guard import borrowed
from pnpxai.metrics.base import Category, Measurement, Metric, Sample
from pnpxai.metrics.robustness.embedded_noise import Embedded
from pnpxai.metrics.robustness.neighbours import Neighbours, draws_at_layer, neighbours, norm, outputs
from pnpxai.tensors import rows_of

__all__ = ["AvgSensitivity", "LocalLipschitz", "RelativeOutputStability", "Sensitivity"]

_ZERO = "the map is zero everywhere"


class Robustness(Metric, abstract=True):
    """What these share: copies of the input with uniform noise, explained again.

    Of ids, the noise is on what they become where their explanation is made: at their embedding, or at the explainer's
    layer. An explainer that explains the ids as they are (leaving out tokens, say) is refused: in the embedding
    another thing may stand in for a token, which is another explanation; ``layer=`` asks for that one.
    """

    n_iter: Annotated[int, Ge(1)] = 8
    """Number of noisy copies."""
    epsilon: Annotated[float, Gt(0)] = 0.2
    """Largest noise, as a fraction of each example's range (max - min)."""

    higher_is_better: ClassVar[bool] = False
    category: ClassVar[Category] = "robustness"
    needs_explainer: ClassVar[bool] = True
    looks_at_outputs: ClassVar[bool] = False
    """Whether it runs the model on the copies, and on the inputs, itself."""

    @abstractmethod
    def judge_numbers(self, sample: Sample) -> Measurement:
        """Return the measurement of a sample whose explained arguments are numbers."""

    def judge(self, sample: Sample) -> Measurement:
        """Return the measurement, of ids at what they become in the model."""
        embedded = Embedded.of(self.explaining(), sample.arguments)
        if not embedded.rows:
            return self.judge_numbers(sample)
        score = embedded.arguments.score(embedded.explainer.model, sample.targets)
        counted = (None,) * len(embedded.arguments.explained)
        moved = replace(sample, arguments=embedded.arguments, score=score, counted=counted)
        return self.replace(explainer=embedded.explainer).judge_numbers(moved)

    def changes(self, sample: Sample) -> Tensor:
        """Return (examples, n_iter) |A(x + d_k) - A(x)| / |A(x)|, zero for a map of zeros."""

        def change(near: Neighbours) -> Tensor:
            return norm(near.moved()) / _or_one(norm(near.sample.attributions))

        return neighbours(self, sample, self.n_iter, self.epsilon, change)

    def cost(self, inputs: object) -> int:
        """Return n_iter times what the explainer costs, the rows of ``looks_at_outputs``, and those that embed ids.

        Where random draws go by the values of a layer, these are read once for each example.
        """
        own = (self.n_iter + 1) * self.examples(inputs) if self.looks_at_outputs else 0
        with borrowed(self.model, gradients=False):
            embedded = Embedded.of(self.explaining(), self.arguments(inputs))
        if not embedded.rows:
            drawn = self.examples(inputs) if draws_at_layer(self.explaining()) else 0
            return self.n_iter * self.explaining().cost(inputs) + own + drawn
        return self.n_iter * embedded.explainer.attributor().cost(embedded.arguments.explained) + own + embedded.rows


class Sensitivity(Robustness):
    """Largest relative change of the map under small uniform noise on the input. Yeh et al., 2019.

    arXiv:1901.09392, "max-sensitivity". Asks whether inputs that look alike are explained alike. Zero or more, lower is
    better. Says nothing of truth: a map that ignores the model may be perfectly stable, and a model that changes makes
    a right map change. Estimates a maximum from few draws.
    """

    def judge_numbers(self, sample: Sample) -> Measurement:
        """Return max_k |A(x + d_k) - A(x)| / |A(x)|; undefined for a map of zeros."""
        changes = self.changes(sample)
        return Measurement.where(norm(sample.attributions) > 0, changes.amax(1), _ZERO, {"changes": changes})


class AvgSensitivity(Robustness):
    """Mean relative change of the map under small uniform noise on the input. Yeh et al., 2019; Bhatt et al., 2020.

    arXiv:1901.09392, arXiv:2005.00631. Asks what ``Sensitivity`` asks, and is less noisy. Zero or more, lower is
    better. Says nothing of truth, as ``Sensitivity``.
    """

    def judge_numbers(self, sample: Sample) -> Measurement:
        """Return the mean over k of |A(x + d_k) - A(x)| / |A(x)|; undefined for a map of zeros."""
        changes = self.changes(sample)
        return Measurement.where(norm(sample.attributions) > 0, changes.mean(1), _ZERO, {"changes": changes})


class LocalLipschitz(Robustness):
    """Largest change of the map over change of the input, among noisy copies. Alvarez-Melis and Jaakkola, 2018.

    arXiv:1806.08049. Asks how fast the map can change, in units of one over those of the input. Zero or more, lower is
    better. Says nothing of truth, as ``Sensitivity``; grows with the dimension and with the scale of the input, so only
    values of one data set compare.
    """

    normalize: bool = True
    """Whether each map is divided by its own norm first, so that explainers of other scales compare."""

    def judge_numbers(self, sample: Sample) -> Measurement:
        """Return max_k |A(x + d_k) - A(x)| / |d_k|; undefined for an input of a single value, which no noise moves."""

        def slope(near: Neighbours) -> Tensor:
            before, after = near.sample.attributions, near.maps
            if self.normalize:
                before, after = (_over(maps, _or_one(norm(maps))) for maps in (before, after))
            moved = norm(tuple(b - a for a, b in zip(before, after, strict=True)))
            return moved / _or_one(near.apart())

        slopes = neighbours(self, sample, self.n_iter, self.epsilon, slope)
        spread = torch.stack([x.amax(1) > x.amin(1) for x in map(rows_of, sample.tensors)]).any(0)
        reason = "the input is constant, so that no noise is added"
        measured = Measurement.where(spread, slopes.amax(1), reason, {"slopes": slopes})
        if not self.normalize:
            return measured
        zero = [None if n > 0 else _ZERO for n in norm(sample.attributions)]
        return replace(measured, reasons=tuple(a or b for a, b in zip(measured.reasons, zero, strict=True)))


class RelativeOutputStability(Robustness):
    """Largest relative change of the map over change of the model's outputs, among noisy copies. Agarwal et al., 2022.

    arXiv:2203.06877. Asks whether the map changes more than the model does. Zero or more, lower is better. Only copies
    of the same predicted class count. Both denominators are kept from zero: without that, single features near zero, or
    copies to which the model hardly reacts, decide. Says nothing of truth, as ``Sensitivity``; values compare within
    one model only. Fails its meta-evaluation: where the model is destroyed, values seldom get worse, as its outputs
    change more.
    """

    floor: Annotated[float, Gt(0)] = 0.1
    """Values of a map below this share of its root mean square count as this share."""
    eps_min: Annotated[float, Gt(0)] = 1e-3
    """Changes of the outputs below this share of their norm count as this share."""

    looks_at_outputs: ClassVar[bool] = True

    def judge_numbers(self, sample: Sample) -> Measurement:
        """Return max_k |(A(x) - A(x + d_k)) / A(x)| / |h(x) - h(x + d_k)|; undefined where all copies change class."""
        whole = outputs(sample, sample.tensors)

        def ratio(near: Neighbours) -> Tensor:
            before, after = whole[near.block.rows.to(whole.device)], outputs(near.sample, near.inputs)
            least = self.eps_min * before.norm(dim=1)
            changed = torch.maximum((after - before).norm(dim=1), _or_one(least))
            changed = torch.where(least > 0, changed, torch.nan)
            same = torch.ones_like(changed, dtype=torch.bool)
            if before.shape[1] > 1:
                same = before.argmax(1) == after.argmax(1)
            return torch.where(same, norm(self._relative(near)) / changed, torch.nan)

        ratios = neighbours(self, sample, self.n_iter, self.epsilon, ratio)
        defined = ~ratios.isnan().all(1) & (norm(sample.attributions) > 0)
        values = ratios.nan_to_num(-torch.inf).amax(1)
        return Measurement.where(defined, values, "the map is zero, or no copy has the same class", {"ratios": ratios})

    def _relative(self, near: Neighbours) -> tuple[Tensor, ...]:
        maps, score = near.sample.attributions, near.sample.score
        hidden = unseen(score.forward, near.sample.tensors, score.extra)
        seen = [without(torch.ones_like(m), out) for m, out in zip(maps, hidden, strict=True)]
        count = torch.stack([own.flatten(1).sum(1) for own in seen]).sum(0)
        least = self.floor * _or_one(norm(maps)) / count.clamp_min(1).sqrt()
        return tuple(
            moved / torch.maximum(m.abs(), least.reshape(-1, *[1] * (m.ndim - 1)))
            for moved, m in zip(near.moved(), maps, strict=True)
        )


def _over(maps: tuple[Tensor, ...], scale: Tensor) -> tuple[Tensor, ...]:
    return tuple(m / scale.reshape(-1, *[1] * (m.ndim - 1)) for m in maps)


def _or_one(number: Tensor) -> Tensor:
    return torch.where(number > 0, number, torch.ones_like(number))
