"""Takes the mean, the mean square or the variance of any attributor over noisy copies of the inputs."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from pnpxai.attributors.base import Around, Outcome
from pnpxai.attributors.gradient.mean_errors import MeanError
from pnpxai.attributors.gradient.noisy_copies import Deviation, deviations, drawn_rows, noisy_copies
from pnpxai.attributors.padding import unseen
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block, in_blocks, row_limit
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.row_independence import rows_are_apart
from pnpxai.engine.running.score import Score
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import Attributions, Keywords, ModelInputs, ModelOutput
from pnpxai.tensors import Tensors, as_tuple, batch_size, check_finite, flat, like, map_tensors, take_rows

__all__ = ["NoiseTunnel"]


class NoiseTunnel(Around):
    """Computes 1/n sum_k A(x + e_k) over n draws e_k ~ N(0, s^2) of noise, for any attributor A.

    ``smoothgrad`` is this mean (Smilkov et al., 2017, arXiv:1706.03825). ``smoothgrad_sq`` is the mean of A^2 (Hooker
    et al., 2019, arXiv:1806.10758). ``vargrad`` is the variance of A (divided by n; Adebayo et al., 2018,
    arXiv:1810.03307).
    """

    def has_convergence_delta(self) -> bool:
        """Return what the wrapped attributor returns."""
        return self.attribution_method.has_convergence_delta()

    def attribute_detailed(self, inputs: ModelInputs, **arguments: object) -> Outcome:
        """Return the attributions with the standard error of a mean, if they are one.

        There is no gap: a mean over noisy copies promises no sum for the inputs themselves.
        """
        bound = inspect.signature(self.attribute).bind(inputs, **arguments)
        bound.apply_defaults()
        settings = dict(bound.arguments)
        kind, count = settings["nt_type"], settings["nt_samples"]
        errors = MeanError(batch_size(as_tuple(inputs)), paired=settings["antithetic"])
        attributions = self._sampled(**settings, errors=None if kind == "vargrad" else errors)
        standard_error = errors.result(count)
        draws = torch.full((errors.size,), count)
        if standard_error is None:
            return Outcome(attributions, draws=draws)
        waiting = iter(standard_error[0])
        members = attributions[0] if settings["kwargs"].get("return_convergence_delta") else attributions
        packed = map_tensors(lambda _: next(waiting), members)
        return Outcome(attributions, standard_error=packed, degrees_of_freedom=standard_error[1], draws=draws)

    def cost(self, inputs: ModelInputs, nt_samples: int = 5, **settings: object) -> int:
        """Return the rows that the wrapped attributor runs, for each copy."""
        return nt_samples * self.attribution_method.cost(inputs)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        nt_type: Literal["smoothgrad", "smoothgrad_sq", "vargrad"] = "smoothgrad",
        nt_samples: int = 5,
        nt_samples_batch_size: int | None = None,
        stdevs: Deviation | tuple[Deviation, ...] = 1.0,
        draw_baseline_from_distrib: bool = False,
        *,
        last_clean: bool = False,
        antithetic: bool = False,
        seed: int | RandomStream = 0,
        show_progress: bool = False,
        **kwargs: object,
    ) -> Attributions:
        """Return attributions in the shape that the wrapped attributor gives.

        Args:
            nt_type: the statistic of the samples that is returned.
            nt_samples: number of noisy copies of each example.
            nt_samples_batch_size: at most so many copies of each example in one pass; for None the device
                and the size of a row decide.
            stdevs: standard deviation of the noise: a number, a function of an input (such as ``RelativeNoise``), or
                a tuple of these, one for each input.
            draw_baseline_from_distrib: each copy takes one row, jointly over the inputs, from ``baselines``.
            last_clean: the last copy has no noise.
            antithetic: every second copy has the noise of the copy before with the opposite sign, which makes a mean
                of the same number of samples several times more exact.
            seed: seed of the noise, which is each example's own.
            **kwargs: arguments of the wrapped ``attribute``. With ``return_convergence_delta`` the deltas of all
                copies are returned too, (examples * nt_samples,), the copies of one example side by side.

        Raises:
            ArgumentError: a setting is out of range.
        """
        return self._sampled(
            inputs, nt_type, nt_samples, nt_samples_batch_size, stdevs, draw_baseline_from_distrib, last_clean,
            antithetic, seed, show_progress, kwargs, errors=None,
        )  # fmt: skip

    def _sampled(
        self, inputs: ModelInputs, nt_type: str, nt_samples: int, nt_samples_batch_size: int | None,
        stdevs: Deviation | tuple[Deviation, ...],
        draw_baseline_from_distrib: bool, last_clean: bool, antithetic: bool, seed: int | RandomStream,
        show_progress: bool, kwargs: Keywords, errors: MeanError | None,
    ) -> Attributions:  # fmt: skip
        """Return what ``attribute`` does; samples are added to the errors too, if they are given."""
        nt_samples = _checked(nt_type, nt_samples)
        tensors = as_tuple(inputs)
        with borrowed(self.forward_func):
            check_finite("inputs", tensors)
            hidden = unseen(self.forward_func, tensors, kwargs.get("additional_forward_args"))
            stream = RandomStream.of(seed).of_examples(tensors, hidden)
            size = batch_size(tensors)
            scales = deviations(stdevs, tensors, hidden)
            with_target = "target" in kwargs
            score = Score.of(
                self.forward_func, tensors, kwargs.pop("target", None), kwargs.get("additional_forward_args")
            )
            moments = _Moments(nt_type, size)
            deltas: list[Tensor] = []
            with_delta = bool(kwargs.get("return_convergence_delta"))
            at_most = None if nt_samples_batch_size is None else nt_samples_batch_size * size
            limit = row_limit(tensors, kwargs, at_most=at_most, name="nt_samples_batch_size")

            def visit(block: Block) -> None:
                clean = nt_samples if last_clean else -1
                noisy = noisy_copies(tensors, scales, stream, block, clean, antithetic, hidden)
                arguments = {n: take_rows(v, block.rows, size) for n, v in kwargs.items() if n != "baselines"}
                if "baselines" in kwargs and draw_baseline_from_distrib:
                    arguments["baselines"] = _baselines(kwargs["baselines"], block, stream)
                elif "baselines" in kwargs:
                    shared = getattr(self.attribution_method, "shares_baselines", False)
                    baselines = kwargs["baselines"]
                    arguments["baselines"] = baselines if shared else take_rows(baselines, block.rows, size)
                if with_target:
                    arguments["target"] = score.given_target(block.rows)
                result = self.attribution_method.attribute(like(inputs, noisy), **arguments)
                if with_delta:
                    result, delta = result
                    deltas.append(torch.cat([_places(block, nt_samples)[:, None].to(delta), delta[:, None]], 1))
                moments.add(block, result)
                if errors is not None:
                    samples = [m.detach().square() if nt_type == "smoothgrad_sq" else m for m in flat(result)]
                    errors.add(block, samples, skip=nt_samples - 1 if last_clean else -1)

            apart = partial(rows_are_apart, score, tensors, limit)
            in_blocks(size, nt_samples, limit, visit, apart=apart, show_progress=show_progress, label="noisy copies")
            result = moments.result()
            if not with_delta:
                return result
            ordered = torch.cat(deltas)
            return result, ordered[ordered[:, 0].argsort(), 1]


class _Moments:
    """Streams a mean, a mean of squares or a variance by Welford's updates.

    Memory does not grow with the number of samples, and a variance is never negative.
    """

    def __init__(self, kind: str, size: int) -> None:
        self.kind = kind
        self.size = size
        self.count = [0] * size  # number of samples of each example
        self.packing: Attributions = None
        self.means: list[Tensor] = []  # means of the samples, or of their squares for ``smoothgrad_sq``
        self.deviations: list[Tensor] = []  # sums of squared deviations from the mean, for ``vargrad``

    def add(self, block: Block, result: ModelOutput) -> None:
        members = flat(result)
        for m in members:
            if m.shape[:1] != (len(block),):
                raise ShapeError(
                    f"attributions: expected a row for each of {len(block)} noisy copies, got shape {tuple(m.shape)}"
                )
        if self.packing is None:
            self.packing = result
            self.means = [m.new_zeros(self.size, *m.shape[1:]) for m in members]
            self.deviations = [torch.zeros_like(m) for m in self.means] if self.kind == "vargrad" else []
        part = slice(block.examples.start, block.examples.stop)
        for step in range(len(block.steps)):
            share = 1 / (self.count[block.examples.start] + 1)
            for k, member in enumerate(members):
                sample = member.detach()[step * len(block.examples) :][: len(block.examples)]
                mean = self.means[k][part]
                shift = sample - mean if self.deviations else sample
                mean.lerp_(sample**2 if self.kind == "smoothgrad_sq" else sample, share)
                if self.deviations:
                    self.deviations[k][part].addcmul_(shift, sample - mean)
            for example in block.examples:
                self.count[example] += 1

    def result(self) -> Attributions:
        chosen = [d / self.count[0] for d in self.deviations] if self.deviations else self.means
        waiting = iter(chosen)
        return map_tensors(lambda _: next(waiting), self.packing)


def _checked(nt_type: str, nt_samples: int) -> int:
    if nt_type not in ("smoothgrad", "smoothgrad_sq", "vargrad"):
        raise ArgumentError(f"nt_type: expected 'smoothgrad', 'smoothgrad_sq' or 'vargrad', got {nt_type!r}")
    return whole_number("nt_samples", nt_samples)


def _baselines(baselines: Tensor | Tensors, block: Block, stream: RandomStream) -> Tensor | Tensors:
    counts = {b.shape[0] for b in as_tuple(baselines, "baselines")}
    if len(counts) != 1:
        raise ArgumentError(f"baselines: expected as many rows for each input, got {sorted(counts)}")
    chosen = drawn_rows(counts.pop(), stream, block)
    return like(baselines, [b.index_select(0, chosen.to(b.device)) for b in as_tuple(baselines)])


def _places(block: Block, n: int) -> Tensor:
    return torch.tensor([example * n + step for step in block.steps for example in block.examples])
