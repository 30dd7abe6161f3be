"""Pictures beside a prompt, small enough for a page."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.attributors.language.media import Media
from pnpxai.pictures.colours import inline_png

__all__ = ["drawn_grids"]

_SIDE = 160
"""Most pixels along an axis."""


def drawn_grids(media: Media | None, first: int = 0) -> tuple[tuple[str, int, int, int], ...]:
    """Return for each grid a picture as a data: address, its rows, its columns, and the place of its first cell.

    Sound, and pictures that come as rows of patches, have an empty address.

    Args:
        media: pictures and sounds.
        first: the place of the first cell of all.
    """
    if media is None:
        return ()
    pictures = [picture for value in media.values.values() if value.ndim > 3 for picture in value.flatten(0, -4)]
    addresses = list(map(_address, pictures)) if len(pictures) == len(media.grids) else [""] * len(media.grids)
    return tuple(
        (one, grid.rows, grid.columns, first + grid.first) for one, grid in zip(addresses, media.grids, strict=True)
    )


def _address(picture: Tensor) -> str:
    """Return (channels, height, width) as a data: address, from its darkest to its brightest number."""
    step = max(1, -(-max(picture.shape[-2:]) // _SIDE))
    small = picture.detach().cpu().double()[:, ::step, ::step]
    small = (small - small.min()) / (small.max() - small.min()).clamp_min(1e-12)
    colours = small[:3] if len(small) >= 3 else small[:1].expand(3, -1, -1)
    opaque = torch.cat([colours, torch.ones_like(colours[:1])])
    return inline_png((255 * opaque.permute(1, 2, 0)).byte().contiguous().numpy())
