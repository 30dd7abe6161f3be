"""Defines feature masks that follow the content of pictures: regions of similar colour, computed by scikit-image."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor

from pnpxai.declare.declared import Range
from pnpxai.errors import ArgumentError
from pnpxai.strategies.feature_masks import FeatureMask, Grid, Positions, channel_axis, consecutive, positions_of
from pnpxai.traits import Traits

__all__ = ["Auto", "Felzenszwalb", "Quickshift", "Slic", "Superpixels", "Watershed"]


class Superpixels(FeatureMask, abstract=True):
    """Segments each picture by itself, after scaling it to 0 ... 1 by its smallest and largest value."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for pictures, which alone have regions."""
        return traits.modality == "image"

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the number of the segment of each pixel.

        Raises:
            ArgumentError: an example does not have two axes of positions, so that it is not a picture.
        """
        shape, axis = positions_of(values, channel_dim), channel_axis(values, channel_dim)
        if len(shape) != 2 or not values.is_floating_point():
            raise ArgumentError(
                f"{type(self).__name__}: expected pictures (examples, channels, y, x), got {values.dtype} of shape "
                f"{tuple(values.shape)}; feature_mask_fn='auto' or 'positions' takes any data"
            )
        pictures = values.detach().double().cpu()
        pictures = pictures[..., None] if axis is None else pictures.movedim(axis, -1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-image warns of more than three channels, or of fewer seeds
            segments = [torch.as_tensor(self.segments(_scaled(picture))) for picture in pictures.numpy()]
        return consecutive(torch.stack(segments).long()).to(values.device)

    @abstractmethod
    def segments(self, picture: np.ndarray) -> np.ndarray:
        """Return the region numbers (y, x) of a picture (y, x, channels) with values from 0 to 1."""


class Felzenszwalb(Superpixels):
    """Joins pixels to regions that differ more from each other than within. Felzenszwalb and Huttenlocher, 2004."""

    name: ClassVar[str] = "felzenszwalb"
    scale: Annotated[float, Gt(0), Range(1.0, 1000.0, log=True)] = 250.0
    """Scale of observation; larger values give larger regions."""
    sigma: Annotated[float, Ge(0), Range(0.0, 2.0, step=0.05)] = 1.0
    """Standard deviation of the blur before segmentation, in pixels."""
    min_size: Annotated[int, Ge(1)] = 50
    """Least number of pixels of a region; a smaller one joins a neighbour."""

    def segments(self, picture: np.ndarray) -> np.ndarray:
        """Return the regions."""
        from skimage.segmentation import felzenszwalb

        return felzenszwalb(picture, scale=self.scale, sigma=self.sigma, min_size=self.min_size)


class Quickshift(Superpixels):
    """Groups pixels around the modes of their density in colour and place. Vedaldi and Soatto, 2008."""

    name: ClassVar[str] = "quickshift"
    ratio: Annotated[float, Ge(0), Range(0.0, 1.0, step=0.1)] = 1.0
    """Weight of nearness in colour (1) against nearness in place (0)."""
    kernel_size: Annotated[float, Ge(1), Range(1.0, 10.0, step=1.0)] = 5.0
    """Width of the kernel, in pixels; larger values give fewer regions."""
    max_dist: Annotated[int, Ge(1), Range(1, 20)] = 10
    """Largest distance between two points of a region; larger values give fewer regions."""
    sigma: Annotated[float, Ge(0), Range(0.0, 2.0, step=0.05)] = 0.0
    """Standard deviation of the blur before segmentation, in pixels."""

    def segments(self, picture: np.ndarray) -> np.ndarray:
        """Return the regions; ties are broken by a fixed seed."""
        from skimage.segmentation import quickshift

        colours = picture.shape[-1] == 3
        scaled = picture if colours else _LIGHTNESS * picture
        width, blur = cast(Any, self.kernel_size), cast(Any, self.sigma)  # scikit-image annotates them as int
        return quickshift(scaled, self.ratio, width, self.max_dist, sigma=blur, convert2lab=colours, rng=42)


class Slic(Superpixels):
    """Groups pixels by k-means in colour and place. Achanta et al., 2012."""

    name: ClassVar[str] = "slic"
    n_segments: Annotated[int, Ge(1), Range(100, 500, step=10)] = 150
    """Approximate number of regions."""
    compactness: Annotated[float, Gt(0), Range(0.01, 100.0, log=True)] = 1.0
    """Weight of nearness in place against nearness in colour."""
    sigma: Annotated[float, Ge(0), Range(0.0, 2.0, step=0.05)] = 0.0
    """Standard deviation of the blur before segmentation, in pixels."""

    def segments(self, picture: np.ndarray) -> np.ndarray:
        """Return the regions."""
        from skimage.segmentation import slic

        compactness = self.compactness if picture.shape[-1] == 3 else self.compactness / _LIGHTNESS
        return slic(picture, self.n_segments, compactness, sigma=self.sigma, start_label=0)


class Watershed(Superpixels):
    """Floods a picture from a grid of seeds; regions end where they meet, at edges. Neubert and Protzel, 2014."""

    name: ClassVar[str] = "watershed"
    markers: Annotated[int, Ge(1), Range(10, 200, step=10)] = 100
    """Approximate number of regions."""
    compactness: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-3
    """Weight of nearness to a seed against edges."""

    def segments(self, picture: np.ndarray) -> np.ndarray:
        """Return the basins of the gradient of the mean over channels."""
        from skimage.filters import sobel
        from skimage.segmentation import watershed

        return watershed(sobel(picture.mean(-1)), self.markers, compactness=cast(Any, self.compactness))


_LIGHTNESS = 100.0
"""Largest lightness of a colour. Grey pictures are scaled to it, so that a setting means the same for both."""
_SMALL_SIDE = 32
"""Side in pixels below which a picture is too small for regions."""
_FEW_REGIONS = 8
"""Number of regions below which a segmentation says too little."""


class Auto(FeatureMask):
    """Chooses by the data: ``Felzenszwalb`` on pictures, ``Positions`` elsewhere.

    ``Grid`` cuts pictures with a side below 32 pixels, and those in which Felzenszwalb sees fewer than 8 regions.
    """

    name: ClassVar[str] = "auto"

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the ids."""
        shape = positions_of(values, channel_dim)
        if len(shape) != 2 or not values.is_floating_point():
            return Positions()(values, channel_dim)
        cells = Grid()(values, channel_dim)
        if min(shape) < _SMALL_SIDE:
            return cells
        regions = Felzenszwalb()(values, channel_dim)
        few = regions.flatten(1).amax(1) + 1 < _FEW_REGIONS
        return torch.where(few[:, None, None], cells, regions)


def _scaled(picture: np.ndarray) -> np.ndarray:
    low, high = picture.min(), picture.max()
    return (picture - low) / (high - low) if high > low else np.zeros_like(picture)
