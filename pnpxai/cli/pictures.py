"""Pictures on the command line: which files, and the options that say how they are scaled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pnpxai.auto.picture_files import PictureFiles
from pnpxai.auto.picture_scaling import PictureScaling, Transform
from pnpxai.cli.models import built, named_object
from pnpxai.cli.options import Scaling
from pnpxai.errors import ArgumentError
from pnpxai.pictures import Display

__all__ = ["display_of", "picture_dataset", "scaled"]

_IMAGENET = Display((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def picture_dataset(
    paths: Sequence[Path],
    root: Path,
    options: Scaling,
    class_names: Sequence[str] = (),
    channels: int | None = None,
    transform: Transform | None = None,
) -> PictureFiles:
    """Return the pictures in files, scaled as the options say.

    Args:
        paths: the files.
        root: the folder that names are relative to.
        options: how they are scaled.
        class_names: the model's classes, if they are known.
        channels: how many channels the model takes, if that is known.
        transform: makes tensors of pictures, in place of the options.

    Raises:
        ArgumentError: no file can be read, a folder is no class, or options contradict each other.
    """
    if transform is not None:
        return PictureFiles(paths, root, PictureScaling(transform=transform), class_names, channels)
    size = options.size if options.size is None or isinstance(options.size, list) else [options.size, options.size]
    scaling = PictureScaling(
        options.resize, None if size is None else (size[0], size[1]), display_of(options), _transform(options)
    )
    return PictureFiles(paths, root, scaling, class_names, channels)


def scaled(options: Scaling) -> bool:
    """Return whether options say how pictures are scaled."""
    return any(getattr(options, name) is not None for name in Scaling.model_fields)


def _transform(options: Scaling) -> Transform | None:
    if options.transform is None:
        return None
    return built(named_object(options.transform, "transform", "transform"), "transform")


def display_of(options: Scaling) -> Display | None:
    """Return how values of 0 to 1 are scaled for the model.

    Raises:
        ArgumentError: of mean and std, one is missing, or they are no numbers of channels.
    """
    if (transform := _transform(options)) is not None:
        others = [n for n in ("resize", "size", "mean", "std") if getattr(options, n) is not None]
        if others:
            raise ArgumentError(f"{others[0]}: the transform makes tensors of pictures; leave one of the two out")
        try:
            return Display.of(transform)
        except ArgumentError:  # it has no mean and std: drawn as they are
            return None
    if options.mean is None and options.std is None:
        return None
    if options.mean == "imagenet" and options.std in ("imagenet", None):
        return _IMAGENET
    levels = [tuple(v) if isinstance(v, list) else v for v in (options.mean, options.std)]
    if any(v is None or isinstance(v, str) for v in levels):
        raise ArgumentError("mean: expected numbers beside --std, or imagenet alone for both")
    return Display(*levels)  # type: ignore[arg-type]
