"""One number per position out of its channels."""

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
    """Pools attributions a over an axis of channels, which disappears."""

    @abstractmethod
    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return the pooled maps."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """There must be channels."""
        return traits.channel_dim is not None


class EachPooling(Pooling):
    """A pooling of its own for the map of each input of a model."""

    name: ClassVar[str] = "each"
    strategies: Annotated[tuple[Pooling, ...], each_by_name(Pooling)]
    """One for each input, by name or as objects."""

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return the pooled map of a model's only input."""
        return self.strategies[0](values, dim)


class Sum(Pooling):
    """sum a: the position's share, with its sign."""

    name: ClassVar[str] = "sum"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum a."""
        return values.sum(dim)


class SumPos(Pooling):
    """relu(sum a)."""

    name: ClassVar[str] = "sumpos"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return relu(sum a)."""
        return values.sum(dim).relu()


class SumAbs(Pooling):
    """|sum a|."""

    name: ClassVar[str] = "sumabs"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return |sum a|."""
        return values.sum(dim).abs()


class L1Norm(Pooling):
    """sum |a|."""

    name: ClassVar[str] = "l1norm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum |a|."""
        return values.abs().sum(dim)


class MaxNorm(Pooling):
    """max |a|."""

    name: ClassVar[str] = "maxnorm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return max |a|."""
        return values.abs().amax(dim)


class L2Norm(Pooling):
    """sqrt(sum a^2)."""

    name: ClassVar[str] = "l2norm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sqrt(sum a^2)."""
        return values.square().sum(dim).sqrt()


class L2NormSq(Pooling):
    """sum a^2."""

    name: ClassVar[str] = "l2normsq"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum a^2."""
        return values.square().sum(dim)


class PosSum(Pooling):
    """sum relu(a)."""

    name: ClassVar[str] = "possum"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum relu(a)."""
        return values.relu().sum(dim)


class PosMaxNorm(Pooling):
    """max relu(a)."""

    name: ClassVar[str] = "posmaxnorm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return max relu(a)."""
        return values.relu().amax(dim)


class PosL2Norm(Pooling):
    """sqrt(sum relu(a)^2)."""

    name: ClassVar[str] = "posl2norm"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sqrt(sum relu(a)^2)."""
        return values.relu().square().sum(dim).sqrt()


class PosL2NormSq(Pooling):
    """sum relu(a)^2."""

    name: ClassVar[str] = "posl2normsq"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return sum relu(a)^2."""
        return values.relu().square().sum(dim)


class NoPooling(Pooling):
    """Maps that have no channels stay as they are."""

    name: ClassVar[str] = "identity"

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """There must be no channels, or those of a series, each of which has a line of its own."""
        return traits.channel_dim is None or traits.modality == "series"

    def __call__(self, values: Tensor, dim: int = 1) -> Tensor:
        """Return the maps unchanged."""
        return values
