"""Explains by the mean of several explainers' maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.attributors.base import Attributor
from pnpxai.attributors.padding import unseen
from pnpxai.declare.declared import Choice
from pnpxai.declare.marks import Settings
from pnpxai.declare.registry import by_name
from pnpxai.detector import ModelFacts
from pnpxai.engine.running.arguments import Arguments, ByKeyword
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.model_types import Attributions, ForwardArgs, Model, ModelInputs
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.normalization import Normalization
from pnpxai.tensors import as_tuple, like
from pnpxai.traits import Traits

__all__ = ["Ensemble"]

_MEMBERS = ("MultiScaleOcclusion", "RAP", "RISE")


class Ensemble(Explainer):
    """Computes 1/n sum_k a_k / std a_k over the maps a_k of n explainers. Rieger and Hansen, 2019 (arXiv:1903.00519).

    Each map has its scale taken away, example by example, so that none outweighs the others; a map without channels
    counts for every channel, and ids that a member explains at their embedding count with the sum over it. Layer and
    extractors are the ensemble's; members have none of their own. The default members find evidence in three ways (what
    is lost, where relevance flows, what random halves lose), and so fail on different data.
    """

    explainers: Annotated[tuple[Any, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = _MEMBERS
    """The members: names, for explainers with their defaults, or explainers, of which only the settings count."""
    normalization_fn: Annotated[Normalization | str, Choice()] = "standard"
    """How scales are taken away: by default each map has a standard deviation of 1."""
    baseline_fn: Baseline | str = "zeros"
    """What stands in for what is absent, for members that are named and have this setting."""
    channel_dim: int | None = None
    """The axis of channels, likewise."""
    each_channel: bool = False
    """Whether each channel is a feature of its own, likewise, as is asked where channels are sensors."""

    needs_gradient: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True
    repeated: ClassVar[bool] = True

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Return why one of the default members does not fit such a model and data, or None if all fit."""
        for name in _MEMBERS:
            reason = by_name(Explainer, name, "").reason_against(facts, traits)
            if reason is not None:
                return f"its member {name} {reason}"
        return None

    def check(self) -> None:
        """Refuse members that are not explainers, and members with their own layer or extractors."""
        super().check()
        if not self.explainers:
            raise ArgumentError("Ensemble: explainers: expected at least one, got none")
        for member in self.explainers:
            if isinstance(member, str):
                by_name(Explainer, member, "Ensemble: explainers")
            elif not isinstance(member, Explainer):
                raise ArgumentError(f"Ensemble: explainers: expected names or explainers, got {type(member).__name__}")
            elif taken := [name for name in _SHARED if getattr(member, name) is not None]:
                raise ArgumentError(f"Ensemble: explainers: {member!r} has its own {taken[0]}; give it to the ensemble")
            elif getattr(member, "tolerance", None) is not None:
                raise ArgumentError(f"Ensemble: explainers: {member!r} has a tolerance; give it a number of samples")

    def attributor(self) -> Attributor:
        """Return the mean of the members' maps."""
        given: Settings = {"baseline_fn": self.baseline_fn, "each_channel": self.each_channel}
        given |= {} if self.channel_dim is None else {"channel_dim": self.channel_dim}
        members = []
        for member in self.explainers:
            if isinstance(member, str):
                kind = by_name(Explainer, member, "")
                own = {name: value for name, value in given.items() if name in kind.defaults()}
                member = kind(self.model, **own)
            members.append(self._there(member))
        return _Mean(self.forward_func, members, Normalization.from_name(self.normalization_fn))

    def _there(self, member: Explainer) -> Explainer:
        """Return the member at the ensemble's layer."""
        if member.layer_is_site:
            return member.replace(model=self.model, layer=self.layer)
        return member.replace(model=self.forward_func)


_SHARED = ("forward_arg_extractor", "additional_forward_arg_extractor", "layer")


class _Mean(Attributor):
    def __init__(
        self, forward_func: Model, members: Sequence[Explainer], normalize: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(forward_func)
        self.members = members
        self.normalize = normalize

    def cost(self, inputs: ModelInputs, additional_forward_args: ForwardArgs = None, **settings: object) -> int:
        """Return the rows that all members run."""
        arguments = _arguments(inputs, additional_forward_args)
        return sum(_cost(member, arguments) for member in self.members)

    def attribute(
        self,
        inputs: ModelInputs,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        seed: int | RandomStream = 0,
    ) -> Attributions:
        """Return the mean of the members' maps."""
        arguments = _arguments(inputs, additional_forward_args)
        totals: list[Any] = [0] * len(arguments.explained)
        hidden = unseen(self.forward_func, arguments.explained, additional_forward_args)
        with borrowed(self.forward_func):
            for member in self.members:
                maps = as_tuple(_maps(member, arguments, target, seed))
                if len(maps) != len(totals):
                    raise UnsuitableError(
                        f"Ensemble: {type(member).__name__} gives {len(maps)} map for {len(totals)} inputs"
                    )
                of_inputs = zip(maps, arguments.explained, hidden, strict=True)
                scaled = [_over_seen(self.normalize, _of_ids(m, x), out) for m, x, out in of_inputs]
                totals = [t + m / len(self.members) for t, m in zip(totals, scaled, strict=True)]
        return like(inputs, totals)


def _maps(member: Explainer, arguments: Arguments, target: Target, seed: int | RandomStream) -> Attributions:
    """Return a member's maps of the values that the ensemble explains; of ids, where the member explains ids."""
    if _hold_ids(arguments):
        member, arguments = _by_keyword(member, arguments)
        return member.attribute_arguments(arguments, target, seed)
    drawn = {"seed": seed} if member.stochastic else {}
    given = {"target": target, "additional_forward_args": arguments.extra or None}
    return member.attributor().attribute(arguments.explained, **given, **drawn)


def _cost(member: Explainer, arguments: Arguments) -> int:
    if _hold_ids(arguments):
        member, arguments = _by_keyword(member, arguments)
        return member.cost_of(arguments)
    return member.attributor().cost(arguments.explained, additional_forward_args=arguments.extra)


def _by_keyword(member: Explainer, arguments: Arguments) -> tuple[Explainer, Arguments]:
    """Return a member of the model itself, and its arguments by keyword, where the ensemble has them by position."""
    model = member.model
    if not isinstance(model, ByKeyword):
        return member, arguments
    return member.replace(model=model.model), Arguments(arguments.explained, (), model.names, arguments.extra[0])


def _hold_ids(arguments: Arguments) -> bool:
    return any(not x.is_floating_point() for x in arguments.explained)


def _arguments(inputs: ModelInputs, extra: ForwardArgs) -> Arguments:
    further = extra if isinstance(extra, tuple) else () if extra is None else (extra,)
    return Arguments(as_tuple(inputs), further)


def _of_ids(maps: Tensor, inputs: Tensor) -> Tensor:
    """Return maps of ids by position: what was explained at their embedding is summed over it."""
    return maps.sum(-1) if not inputs.is_floating_point() and maps.ndim > inputs.ndim else maps


def _over_seen(normalize: Callable[[Tensor], Tensor], maps: Tensor, hidden: Tensor | None) -> Tensor:
    """Return maps that are normalised without hidden positions (examples, positions), which get zero."""
    if hidden is None:
        return normalize(maps)
    scaled = torch.zeros_like(maps)
    for row, seen in enumerate(~hidden.to(maps.device)):
        if bool(seen.any()):
            scaled[row, seen] = normalize(maps[row : row + 1, seen])[0]
    return scaled
