"""Defines poolings, which make one number of the attributions of all channels at a position."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

from torch import Tensor

from pnpxai.strategies.base import Strategy, each_by_name
from pnpxai.traits import Traits

__all__ = [
    "EachPooling",
    "L1Norm",
    "L2Norm",
    "L2NormSq",
    "MaxNorm",
    "NoPooling",
    "Pooling",
    "PosL2Norm",
    "PosL2NormSq",
    "PosMaxNorm",
    "PosSum",
    "Sum",
    "SumAbs",
    "SumPos",
]


class Pooling(Strategy, abstract=True):
    """Pools attributions a over the axis of channels. The result has that axis no more."""

    @abstractmethod
    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return the pooled maps."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for data with channels."""
        return traits.channel_dim is not None


class EachPooling(Pooling):
    """Uses another pooling for the map of each input of a model."""

    name: ClassVar[str] = "each"
    strategies: Annotated[tuple[Pooling, ...], each_by_name(Pooling)]
    """One pooling for each input, as objects or names."""

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return the pooled map of a model's only input."""
        return self.strategies[0](values, dim)


class Sum(Pooling):
    """Pools to sum a: the position's contribution, with its sign."""

    name: ClassVar[str] = "sum"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum a."""
        return values.sum(dim)


class SumPos(Pooling):
    """Pools to relu(sum a): the contribution where it is positive."""

    name: ClassVar[str] = "sumpos"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return relu(sum a)."""
        return values.sum(dim).relu()


class SumAbs(Pooling):
    """Pools to |sum a|: the size of the contribution."""

    name: ClassVar[str] = "sumabs"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return |sum a|."""
        return values.sum(dim).abs()


class L1Norm(Pooling):
    """Pools to sum |a|: contributions of opposite signs do not cancel."""

    name: ClassVar[str] = "l1norm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum |a|."""
        return values.abs().sum(dim)


class MaxNorm(Pooling):
    """Pools to max |a|: the channel with the largest attribution speaks for the position."""

    name: ClassVar[str] = "maxnorm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return max |a|."""
        return values.abs().amax(dim)


class L2Norm(Pooling):
    """Pools to the Euclidean norm, sqrt(sum a^2)."""

    name: ClassVar[str] = "l2norm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sqrt(sum a^2)."""
        return values.square().sum(dim).sqrt()


class L2NormSq(Pooling):
    """Pools to the squared Euclidean norm, sum a^2."""

    name: ClassVar[str] = "l2normsq"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum a^2."""
        return values.square().sum(dim)


class PosSum(Pooling):
    """Pools to sum relu(a): only positive attributions count."""

    name: ClassVar[str] = "possum"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum relu(a)."""
        return values.relu().sum(dim)


class PosMaxNorm(Pooling):
    """Pools to max relu(a): the largest positive attribution."""

    name: ClassVar[str] = "posmaxnorm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return max relu(a)."""
        return values.relu().amax(dim)


class PosL2Norm(Pooling):
    """Pools to the Euclidean norm of positive attributions, sqrt(sum relu(a)^2)."""

    name: ClassVar[str] = "posl2norm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sqrt(sum relu(a)^2)."""
        return values.relu().square().sum(dim).sqrt()


class PosL2NormSq(Pooling):
    """Pools to the squared norm of positive attributions, sum relu(a)^2."""

    name: ClassVar[str] = "posl2normsq"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum relu(a)^2."""
        return values.relu().square().sum(dim)


class NoPooling(Pooling):
    """Leaves maps as they are."""

    name: ClassVar[str] = "identity"

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for data without channels, and for series, where each channel is drawn as its own line."""
        return traits.channel_dim is None or traits.modality == "series"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return the maps unchanged."""
        return values
