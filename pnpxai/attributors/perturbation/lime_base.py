"""Any surrogate model, fitted to samples that a user's functions draw, map and weigh: the frame that LIME fills."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from tqdm.auto import tqdm

from pnpxai.attributors.base import prepared
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import row_limit
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score, Target
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import ForwardArgs, Model, ModelInputs
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["Function", "LimeBase"]

Function = Callable[..., Any]
"""Function of a user's: it draws, maps or weighs samples."""


class Surrogate(Protocol):
    """Is a model that is fitted to samples, such as one of ``surrogates``."""

    def fit(self, train_data: DataLoader, /) -> object:
        """Fit the model to batches of samples, scores and weights."""

    def representation(self) -> Tensor:
        """Return what the attributions are."""
        ...


class LimeBase:
    """Fits an interpretable model g to a model f around x: ``min_g sum_z similarity(x, z) (f(z) - g(z'))^2``.

    Ribeiro et al., 2016 (arXiv:1602.04938). ``z`` is a sample in the form of the inputs, ``z'`` the same in the
    interpretable space; what the weights of the fit mean is up to the functions that are given.

    Args:
        forward_func: the model.
        interpretable_model: is fitted in place, by ``fit(loader)`` over (z', f(z), similarity), and asked for its
            ``representation()``.
        similarity_func: gives a sample's weight: ``similarity_func(inputs, z, z', **kwargs)``.
        perturb_func: draws a sample, ``perturb_func(inputs, **kwargs)``, or is a generator of samples.
        perturb_interpretable_space: whether it draws z' (1, features); otherwise it draws z.
        from_interp_rep_transform: makes z of z', ``from_interp_rep_transform(z', inputs, **kwargs)``; needed in the
            interpretable space.
        to_interp_rep_transform: makes z' of z, ``to_interp_rep_transform(z, inputs, **kwargs)``; needed otherwise.

    Raises:
        ArgumentError: the transform that is needed is missing.
    """

    def __init__(
        self,
        forward_func: Model,
        interpretable_model: Surrogate,
        similarity_func: Function,
        perturb_func: Function,
        perturb_interpretable_space: bool,
        from_interp_rep_transform: Function | None,
        to_interp_rep_transform: Function | None,
    ) -> None:
        name = "from_interp_rep_transform" if perturb_interpretable_space else "to_interp_rep_transform"
        transform = from_interp_rep_transform if perturb_interpretable_space else to_interp_rep_transform
        if transform is None:
            where = "the interpretable space" if perturb_interpretable_space else "the space of the inputs"
            raise ArgumentError(f"{name}: expected a function, as samples are drawn in {where}, got None")
        self.forward_func = forward_func
        self.interpretable_model = interpretable_model
        self.similarity_func = similarity_func
        self.perturb_func = perturb_func
        self.perturb_interpretable_space = perturb_interpretable_space
        self._transform = transform

    def attribute(
        self,
        inputs: ModelInputs,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        n_samples: int = 50,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        **kwargs: object,
    ) -> Tensor:
        """Return the representation of the interpretable model after its fit.

        Args:
            inputs: one example; several if the model gives one value for its batch.
            target: which output, see ``Attributor``.
            additional_forward_args: further arguments of the model.
            n_samples: number of samples.
            perturbations_per_eval: at most so many samples in one pass; 1 leaves it to the device.
            show_progress: show a progress bar.
            **kwargs: passed on to the functions.

        Raises:
            ShapeError: a sample has another shape than the inputs, or the model gives several values for a sample.
        """
        count = whole_number("n_samples", n_samples)
        asked = whole_number("perturbations_per_eval", perturbations_per_eval)
        with torch.inference_mode(False), torch.no_grad():
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            pairs = list(itertools.islice(self._samples(inputs, kwargs), count))
            members = [self._member(tensors, z) for z, _ in pairs]
            weights = [float(self.similarity_func(inputs, z, own, **kwargs)) for z, own in pairs]
            with borrowed(self.forward_func, gradients=False):
                limit = 1 if score.size > 1 else row_limit(tensors, at_most=None if asked == 1 else asked)
                scores = _scores(score, members, limit, show_progress)
            device = tensors[0].device
            interpretable = torch.cat([own.to(device).float() for _, own in pairs])
            data = TensorDataset(interpretable, scores.float(), torch.tensor(weights, device=device).float())
        self.interpretable_model.fit(DataLoader(data, batch_size=len(data)))
        return self.interpretable_model.representation()

    def _samples(self, inputs: ModelInputs, kwargs: Mapping[str, object]) -> Iterator[tuple[ModelInputs, Tensor]]:
        """Yield samples in the form of the inputs and in the interpretable space."""
        if inspect.isgeneratorfunction(self.perturb_func):
            drawn = self.perturb_func(inputs, **kwargs)
        else:
            drawn = (self.perturb_func(inputs, **kwargs) for _ in itertools.count())
        for sample in drawn:
            other = self._transform(sample, inputs, **kwargs)
            yield (other, sample) if self.perturb_interpretable_space else (sample, other)

    @staticmethod
    def _member(tensors: Tensors, z: ModelInputs) -> Tensors:
        members = as_tuple(z, "perturb_func")
        if [m.shape for m in members] != [x.shape for x in tensors]:
            shapes = ([tuple(x.shape) for x in tensors], [tuple(m.shape) for m in members])
            raise ShapeError(
                f"perturb_func: expected samples of shapes {shapes[0]}, as the inputs have, got {shapes[1]}"
            )
        return members


def _scores(score: Score, members: list[Tensors], limit: int, show_progress: bool) -> Tensor:
    """Return (samples,) the score of each sample."""
    each = []
    with tqdm(total=len(members), desc="samples", disable=not show_progress) as bar:
        for start in range(0, len(members), limit):
            part = members[start : start + limit]
            of_rows = score.take(torch.zeros(len(part), dtype=torch.long)) if score.size == 1 else score
            values = of_rows(tuple(torch.cat(column) for column in zip(*part, strict=True)))
            if values.numel() != len(part):
                raise ShapeError(f"model: expected one value for each sample, got {values.numel()} for {len(part)}")
            each.append(values.reshape(-1))
            bar.update(len(part))
    return torch.cat(each)
