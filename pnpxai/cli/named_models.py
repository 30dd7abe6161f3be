"""Models by a name that torchvision or timm knows, with weights from a file or from the library's own cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from pnpxai.errors import ArgumentError, did_you_mean

__all__ = ["NamedModel", "is_named", "named_model"]


@dataclass(frozen=True)
class NamedModel:
    """A model with what its weights' metadata say of pictures.

    Attributes:
        name: its name.
        model: the model, in evaluation mode; its weights are random if none were found.
        loaded: whether weights were found in the cache.
        looked: where they were looked for.
        transform: makes a tensor of a PIL picture as in training.
        class_names: the names of its outputs, where they are known.
    """

    name: str
    model: nn.Module
    loaded: bool
    looked: str
    transform: Callable[[Any], Any] | None
    class_names: tuple[str, ...]


def is_named(spec: str) -> bool:
    """Return whether a model is asked for by a name alone, not by a file or a module's attribute."""
    return ":" not in spec and not Path(spec).suffix and "/" not in spec


def named_model(name: str) -> NamedModel:
    """Return the model that torchvision, or else timm, has under a name. Nothing is downloaded.

    Raises:
        ArgumentError: neither knows the name; the message suggests what was meant.
    """
    from torchvision import models

    known = models.list_models(module=models)  # classifiers
    if name in known:
        return _of_torchvision(name)
    try:
        import timm
    except ImportError:
        timm_names: list[str] = []
    else:
        timm_names = timm.list_models()
        if name in timm_names:
            return _of_timm(name)
    raise ArgumentError(
        f"model: expected module:attribute or a Python file, got {name!r}, which torchvision and timm do not know"
        f"{did_you_mean(name, [*known, *timm_names])}"
    )


def _of_torchvision(name: str) -> NamedModel:
    import torch
    from torchvision import models

    default: Any = getattr(models.get_model_weights(name), "DEFAULT", None)
    model = models.get_model(name, weights=None).eval()
    if default is None:
        return NamedModel(name, model, False, "torchvision, which has none", None, ())
    file = Path(torch.hub.get_dir()) / "checkpoints" / default.url.rpartition("/")[2]
    if file.is_file():
        model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    names = tuple(map(str, default.meta.get("categories", ())))
    return NamedModel(name, model, file.is_file(), f"{file} ({default.url})", default.transforms(), names)


def _of_timm(name: str) -> NamedModel:
    import timm
    from timm.data.config import resolve_data_config
    from timm.data.transforms_factory import create_transform

    model = timm.create_model(name, pretrained=False).eval()
    config: Any = resolve_data_config({}, model=model)
    transform: Any = create_transform(**config)
    state, looked = None, "the cache of huggingface_hub"
    pretrained: Any = getattr(model, "pretrained_cfg", None) or {}
    if hub := pretrained.get("hf_hub_id"):
        looked = f"the cache of huggingface_hub ({hub})"
        state = _cached(str(hub))
    if state is not None:
        model.load_state_dict(state)
    return NamedModel(name, model, state is not None, looked, transform, ())


def _cached(hub: str) -> dict[str, Any] | None:
    """Return the weights of a model that huggingface_hub has stored; None if it has not."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    file = try_to_load_from_cache(hub, "model.safetensors")
    if not isinstance(file, str):
        return None
    from safetensors.torch import load_file

    return load_file(file)
