"""Small networks that hold what is hard to explain: skips, in-place changes, reuse, ids, recurrence, attention."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = [
    "Perceptron",
    "Recurrent",
    "SeriesNet",
    "Siamese",
    "SkipNet",
    "TokenNet",
    "TwoInputs",
    "VisionTransformer",
    "plain_convolutions",
]


class Perceptron(nn.Module):
    """Three linear layers with two kinds of activations, on (examples, 6)."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.first = nn.Linear(6, 10)
        self.second = nn.Linear(10, 10)
        self.head = nn.Linear(10, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (examples, outputs)."""
        return self.head(torch.tanh(self.second(torch.relu(self.first(x)))))


def plain_convolutions(outputs: int = 4) -> nn.Sequential:
    """Return convolutions, ReLUs, max-pooling and a linear layer in a row, all with biases, for (examples, 2, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(24, outputs),
    )  # fmt: skip


class SkipNet(nn.Module):
    """A residual block as in ResNet, on (examples, 2, 8, 8): batch norm, one in-place ReLU used twice, ``+=``."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.conv1 = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (examples, outputs)."""
        identity = self.stem(x)
        out = self.relu(self.bn1(self.conv1(identity)))
        out = self.bn2(self.conv2(out))
        out += identity
        out = self.relu(out)
        return self.head(out.mean((2, 3)))


class TwoInputs(nn.Module):
    """A picture (examples, 1, 6, 6) and a table (examples, 4), each with its own branch."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.linear = nn.Linear(4, 6)
        self.head = nn.Linear(4 * 16 + 6, outputs)

    def forward(self, image: Tensor, table: Tensor) -> Tensor:
        """Return (examples, outputs)."""
        seen = torch.relu(self.conv(image)).flatten(1)
        return self.head(torch.cat([seen, torch.tanh(self.linear(table))], dim=1))


class Siamese(nn.Module):
    """Two pictures (examples, 1, 6, 6), seen by the same encoder, and compared by difference and product."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6), nn.Tanh())
        self.head = nn.Linear(12, outputs)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Return (examples, outputs)."""
        left, right = self.encoder(one), self.encoder(other)
        return self.head(torch.cat([left - right, left * right], dim=1))


class Recurrent(nn.Module):
    """A recurrent network of two layers and two directions, and a head on the mean over time, on (examples, 6, 5).

    Args:
        build: ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``.
    """

    def __init__(self, build: Callable[..., nn.Module], outputs: int = 4) -> None:
        super().__init__()
        self.cells = build(5, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (examples, outputs)."""
        return self.head(self.cells(x)[0].mean(1))


class TokenNet(nn.Module):
    """An embedding, an LSTM and a linear layer on its last state, for ids (examples, tokens)."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 5)
        self.lstm = nn.LSTM(5, 6, batch_first=True)
        self.head = nn.Linear(6, outputs)

    def forward(self, ids: Tensor) -> Tensor:
        """Return (examples, outputs)."""
        states, _ = self.lstm(self.embedding(ids))
        return self.head(states[:, -1])


class SeriesNet(nn.Module):
    """Convolutions along time, on (examples, 2, 16)."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(2, 4, 3, padding=1)
        self.conv2 = nn.Conv1d(4, 6, 3, stride=2)
        self.head = nn.Linear(6, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (examples, outputs)."""
        return self.head(torch.relu(self.conv2(torch.relu(self.conv1(x)))).mean(-1))


class VisionTransformer(nn.Module):
    """Patches, a class token, one encoder layer and a linear layer, on (examples, 1, 8, 8)."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.place = nn.Parameter(torch.zeros(1, 5, 8))
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.head = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (examples, outputs)."""
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1) + self.place
        return self.head(self.encoder(tokens)[:, 0])
