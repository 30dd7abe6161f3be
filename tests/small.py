"""A small convolutional network whose evidence is known, examples for it, and an operation that hides what it does."""

import torch
from torch import nn

from pnpxai.examples import Examples


class Bright(nn.Module):
    """Two classes: whether the upper or the lower half of an 8 x 8 picture is brighter, through a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.head = nn.Linear(2 * 64, 2)
        with torch.no_grad():
            self.conv.weight.fill_(1 / 9)
            self.conv.bias.fill_(0.01)
            half = torch.cat([torch.ones(32), -torch.ones(32)]).repeat(2)
            self.head.weight.copy_(torch.stack([half, -half]) / 16)
            self.head.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).relu().flatten(1))


def pictures(n: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def examples(model: nn.Module, n: int = 16, size: int = 8) -> Examples:
    x = pictures(n)
    with torch.no_grad():
        targets = model(x).argmax(1)
    return Examples.of([(x[i : i + size], targets[i : i + size], None) for i in range(0, n, size)])


class Reader(nn.Module):
    """A transformer of two layers that reads ids, or their embeddings, and does not see padding."""

    def __init__(self, *, ids: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(20, 8) if ids else nn.Identity()
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True) for _ in range(2))
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=attention_mask == 0)
        seen = attention_mask[..., None].to(x)
        return self.head((x * seen).sum(1) / seen.sum(1))


def padded(side: str, *, ids: bool) -> tuple[Reader, dict[str, torch.Tensor], dict[str, torch.Tensor], slice]:
    """Return a reader, a batch whose second example is padded, this example alone, and its place."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randint(1, 20, (2, 7), generator=draw) if ids else torch.randn(2, 7, 8, generator=draw).double()
    place = slice(0, 4) if side == "right" else slice(3, 7)
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1] = 0
    mask[1, place] = 1
    alone = {"x": x[1:, place], "attention_mask": mask[1:, place]}
    return Reader(ids=ids).double().eval(), {"x": x, "attention_mask": mask}, alone, place


class Rectified(torch.autograd.Function):
    """A ReLU that autograd alone sees into."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (ctx.saved_tensors[0] > 0)
