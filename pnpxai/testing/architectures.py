"""Architectures that people use, small and calibrated: torchvision, timm, transformers, recurrent and siamese nets.

Those of other libraries are built of the library's own classes with few and narrow layers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pnpxai.testing import nets
from pnpxai.testing.zoo import CASES, Case, calibrated, drawn
from pnpxai.traits import Traits

__all__ = ["ARCHITECTURES", "LARGE"]

_VOCABULARY = 20


def lstm() -> Case:
    """Return a bidirectional LSTM on series."""
    return calibrated("lstm", lambda: nets.Recurrent(nn.LSTM), drawn(6, 5), Traits.series(2), examples=2, centred=True)


def gru() -> Case:
    """Return a bidirectional GRU on series."""
    return calibrated("gru", lambda: nets.Recurrent(nn.GRU), drawn(6, 5), Traits.series(2), examples=2, centred=True)


def siamese() -> Case:
    """Return two pictures, seen by one encoder that runs twice."""

    def draw(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        one = drawn(1, 6, 6)
        return one(size, generator), one(size, generator)

    return calibrated("siamese", nets.Siamese, draw, Traits.image(), examples=2)


def vgg() -> Case:
    """Return torchvision's VGG with batch normalisation, five narrow convolutions and a small classifier."""
    from torchvision.models.vgg import VGG, make_layers

    def build() -> nn.Module:
        with torch.device("meta"):  # its hundred million weights are not wanted
            model = VGG(make_layers([8, "M", 16, "M", 16, 16, "M", 16], batch_norm=True), init_weights=False)
            relu = functools.partial(nn.ReLU, inplace=True)
            model.classifier = nn.Sequential(
                nn.Linear(784, 24), relu(), nn.Dropout(), nn.Linear(24, 24), relu(), nn.Dropout(), nn.Linear(24, 4)
            )
        model.to_empty(device="cpu")
        for module in model.modules():
            if isinstance(reset := getattr(module, "reset_parameters", None), Callable):
                reset()
        return model

    return _on_pictures("vgg", build, 32)


def efficientnet() -> Case:
    """Return torchvision's EfficientNet: depthwise convolutions, SiLU, squeeze and excitation."""
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    stages = [MBConvConfig(1, 3, 1, 8, 8, 1, 1, 1), MBConvConfig(4, 3, 2, 8, 12, 2, 1, 1)]
    return _on_pictures("efficientnet", lambda: EfficientNet(stages, 0.0, num_classes=4, last_channel=32), 32)


def convnext() -> Case:
    """Return torchvision's ConvNeXt: layer normalisation, GELU, scaled branches."""
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    stages = [CNBlockConfig(12, 20, 1), CNBlockConfig(20, None, 2)]
    return _on_pictures("convnext", lambda: ConvNeXt(stages, layer_scale=0.5, num_classes=4), 32)


def torchvision_vit() -> Case:
    """Return torchvision's vision transformer."""
    from torchvision.models import VisionTransformer

    return _on_pictures("torchvision_vit", lambda: VisionTransformer(16, 4, 2, 2, 16, 32, num_classes=4), 16)


def swin() -> Case:
    """Return torchvision's Swin transformer: shifted windows, merged patches."""
    from torchvision.models import SwinTransformer

    def build() -> nn.Module:
        return SwinTransformer([2, 2], 12, [2, 2], [2, 2], [2, 2], stochastic_depth_prob=0.0, num_classes=4)

    return _on_pictures("swin", build, 16)


def timm_vit() -> Case:
    """Return timm's vision transformer, whose attention is a function."""
    from timm.models.vision_transformer import VisionTransformer

    def build() -> nn.Module:
        return VisionTransformer(img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=4)

    return _on_pictures("timm_vit", build, 16)


def bert() -> Case:
    """Return transformers' BERT classifier of token ids."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=_VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, initializer_range=0.3,
        pad_token_id=_VOCABULARY - 1,
    )  # fmt: skip
    config.num_labels = 4
    return _on_words("bert", lambda: BertForSequenceClassification(config), "bert.embeddings.word_embeddings")


def gpt2() -> Case:
    """Return transformers' GPT-2, a decoder, with a classifier on its last token."""
    from transformers import GPT2Config, GPT2ForSequenceClassification

    config = GPT2Config(
        vocab_size=_VOCABULARY, n_positions=16, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3,
        pad_token_id=_VOCABULARY - 1, bos_token_id=_VOCABULARY - 1, eos_token_id=_VOCABULARY - 1,
    )  # fmt: skip
    config.num_labels = 4
    return _on_words("gpt2", lambda: GPT2ForSequenceClassification(config), "transformer.wte")


def _on_pictures(name: str, build: Callable[[], nn.Module], side: int) -> Case:
    return calibrated(name, build, drawn(3, side, side), Traits.image(), examples=2, centred=True)


def _on_words(name: str, build: Callable[[], nn.Module], embedding: str) -> Case:
    def draw(size: int, generator: torch.Generator) -> Tensor:
        return torch.randint(1, _VOCABULARY - 1, (size, 6), generator=generator)  # 0 is absence, the last one padding

    return calibrated(name, build, draw, Traits.text(), examples=2, centred=True, layer=embedding)


_LIGHT = (lstm, gru, siamese)
_HEAVY = (vgg, efficientnet, convnext, torchvision_vit, swin, timm_vit, bert, gpt2)

ARCHITECTURES: dict[str, Callable[[], Case]] = CASES | {
    make.__name__: functools.cache(make) for make in (*_LIGHT, *_HEAVY)
}
"""Every case by name, those of the zoo first; each is built once, and can be shared as those are."""

LARGE = frozenset({"resnet18", *(make.__name__ for make in _HEAVY)})
"""Those that take long, to build or to run; quick tests leave them out."""
