"""Nets that learn the problems within seconds."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Reader", "columns", "pictures", "series"]


def pictures(channels: int, classes: int) -> nn.Module:
    """Return a convolutional net of pictures."""
    return nn.Sequential(
        nn.Conv2d(channels, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3, padding=1),
        nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(24, classes),
    )  # fmt: skip


def columns(count: int, classes: int) -> nn.Module:
    """Return a perceptron of columns."""
    return nn.Sequential(nn.Linear(count, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, classes))


def series(sensors: int, classes: int) -> nn.Module:
    """Return a convolutional net of series, which knows where along them it is in fourths."""
    return nn.Sequential(
        nn.Conv1d(sensors, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.Conv1d(16, 24, 5, padding=2), nn.ReLU(),
        nn.AdaptiveMaxPool1d(4), nn.Flatten(), nn.Linear(96, 32), nn.ReLU(), nn.Linear(32, classes),
    )  # fmt: skip


class Reader(nn.Module):
    """Reads ids one after the other, and answers by the largest of its states."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 16)
        self.states = nn.GRU(16, 32, batch_first=True)
        self.head = nn.Linear(64, classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Return (examples, classes)."""
        states, last = self.states(self.embedding(ids))
        return self.head(nn.functional.pad(states.amax(1), (0, 32)) + nn.functional.pad(last[0], (32, 0)))
