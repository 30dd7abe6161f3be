"""Attributes a metric of a whole data set, such as an accuracy, to the features of its examples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from pnpxai.attributors.base import Around, Attributor
from pnpxai.attributors.baseline_arguments import Baselines, broadcast_baselines
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.engine.running.guard import borrowed
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ModelInputs, ModelOutput, Positional
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["DataLoaderAttribution"]

_EXPLAINED, _PASSED_ON, _LEFT_OUT = 0, 1, 2


class DataLoaderAttribution(Around):
    """Explains a metric on all batches of a loader by a perturbation method such as ``FeatureAblation``.

    The method explains the function from sets of present features to the metric of the whole data set; an absent
    feature is replaced in every example at once.
    """

    def __init__(self, attr_method: Attributor) -> None:
        super().__init__(attr_method)
        self.attr_method = attr_method

    def attribute(
        self,
        dataloader: Iterable[ModelInputs],
        input_roles: Sequence[int] | None = None,
        baselines: Baselines = None,
        feature_mask: Tensor | Tensors | None = None,
        reduce: Callable[[ModelOutput, ModelOutput, Positional], ModelOutput] | None = None,
        to_metric: Callable[[ModelOutput], Tensor] | None = None,
        perturbations_per_pass: int = 1,
        show_progress: bool = False,
        return_input_shape: bool = True,
    ) -> Attributions:
        """Return attributions in the shape of one example, (1, ...), or with several metrics (metrics, ...).

        The result is a tuple where batches are tuples.

        Args:
            dataloader: batches that are tuples (or single tensors), all with the same number of members.
            input_roles: 0 for a member that is explained, 1 for one that is passed to the model unchanged, 2 for one
                that is not passed to the model, such as labels. By default all are explained.
            baselines: values of absent features, for each explained member: a number or a tensor (1, ...).
            feature_mask: an id for each element, (1, ...), for each explained member.
            reduce: adds up outputs: ``reduce(accumulated, output, batch)``; by default outputs are joined.
            to_metric: computes the metric from the accumulated outputs.
            perturbations_per_pass: accepted for compatibility.
            show_progress: accepted for compatibility.
            return_input_shape: False for one number for each feature, (metrics, features).

        Raises:
            ArgumentError: the roles do not fit the batches, or the loader is empty.
        """
        batch = next(iter(dataloader), None)
        if batch is None:
            raise ArgumentError("dataloader: expected at least one batch, got none")
        first = _members(batch)
        roles = [_EXPLAINED] * len(first) if input_roles is None else list(input_roles)
        if len(roles) != len(first) or not set(roles) <= {0, 1, 2} or _EXPLAINED not in roles:
            raise ArgumentError(
                f"input_roles: expected 0, 1 or 2 for each of {len(first)} members, one of them 0, got {roles}"
            )
        one = tuple(m[:1] for m, role in zip(first, roles, strict=True) if role == _EXPLAINED)
        groups = Groups.of(feature_mask, one)
        count = max(groups.sizes)

        def metrics(present: Tensor) -> Tensor:
            """Return (sets, metrics) for sets of features that are present."""
            accumulated: list[ModelOutput] = [None] * len(present)
            with torch.random.fork_rng(devices=()):  # a loader draws its order, or the seed of its workers
                for batch in dataloader:
                    members = _members(batch)
                    for k, row in enumerate(present):
                        output = self.forward_func(*_called(members, roles, baselines, groups, row > 0.5))
                        if reduce is not None:
                            accumulated[k] = reduce(accumulated[k], output, members)
                        else:
                            accumulated[k] = output if accumulated[k] is None else torch.cat([accumulated[k], output])
            values = [to_metric(a) if to_metric is not None else a for a in accumulated]
            return torch.stack([torch.as_tensor(v).reshape(-1) for v in values])

        method = copy.copy(self.attr_method)
        method.forward_func = metrics
        all_present = torch.ones(1, count)
        with borrowed(self.forward_func, gradients=False):
            number = metrics(all_present).shape[1]
            shares = torch.cat([method.attribute(all_present, target=k) for k in range(number)])
        if not return_input_shape:
            return shares
        maps = groups.spread(shares, one)
        return tuple(maps) if isinstance(batch, (tuple, list)) else maps[0]


def _members(batch: ModelInputs) -> Positional:
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


def _called(
    members: Positional, roles: list[int], baselines: Baselines, groups: Groups, present: Tensor
) -> list[object]:
    """Return the arguments of the model, with absent features replaced."""
    explained: Tensors = as_tuple(tuple(m for m, role in zip(members, roles, strict=True) if role == _EXPLAINED))
    starts = broadcast_baselines(baselines, explained, "baselines")
    replaced = iter(
        torch.where(present.to(ids.device)[ids], x, start)
        for x, start, ids in zip(explained, starts, groups.ids, strict=True)
    )
    return [
        next(replaced) if role == _EXPLAINED else member
        for member, role in zip(members, roles, strict=True)
        if role != _LEFT_OUT
    ]
