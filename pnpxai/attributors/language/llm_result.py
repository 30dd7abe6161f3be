"""The result of attributing generated text under captum's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pnpxai.attributors.language.interpretable_inputs import InterpretableInput
from pnpxai.errors import ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LLMAttributionResult"]


@dataclass
class LLMAttributionResult:
    """Attributions of generated tokens.

    Attributes:
        seq_attr: (features,) of the whole output.
        token_attr: (output tokens, features), or None.
        input_tokens: names of the features.
        output_tokens: the output's tokens.
        output_probs: (output tokens,), or None.
        inp: what was explained, or None.
    """

    input_tokens: list[str]
    output_tokens: list[str]
    seq_attr: Tensor
    token_attr: Tensor | None = None
    output_probs: Tensor | None = None
    inp: InterpretableInput | None = None

    def __post_init__(self) -> None:
        self.seq_attr = torch.as_tensor(self.seq_attr)
        self._fit("seq_attr", self.seq_attr, (len(self.input_tokens),))
        if self.token_attr is not None:
            self.token_attr = torch.as_tensor(self.token_attr)
            self._fit("token_attr", self.token_attr, (len(self.output_tokens), len(self.input_tokens)))
        if self.output_probs is not None:
            self.output_probs = torch.as_tensor(self.output_probs)
            self._fit("output_probs", self.output_probs, (len(self.output_tokens),))

    @staticmethod
    def _fit(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
        if tuple(value.shape) != shape:
            raise ShapeError(f"{name}: expected shape {shape}, got {tuple(value.shape)}")

    @property
    def seq_attr_dict(self) -> dict[str, float]:
        """The attribution of the whole output by the name of the feature; of several with one name, the last."""
        return dict(zip(self.input_tokens, self.seq_attr.tolist(), strict=True))

    def plot_token_attr(self, show: bool = False) -> tuple[Figure, Axes] | None:
        """Draw a row for each output token and a column for each feature, with numbers.

        Returns:
            (figure, axes); None with ``show``, which displays the figure.

        Raises:
            ValueError: there are no attributions of tokens.
        """
        if self.token_attr is None:
            raise ValueError("token_attr: there are none of single tokens; plot_seq_attr() draws those of the whole")
        import matplotlib.pyplot as plt

        values = self.token_attr.detach().cpu().numpy()
        limit = float(abs(values).max()) or 1.0
        figure, axes = plt.subplots(figsize=(max(6.4, 1.3 * values.shape[1]), max(4.8, values.shape[0] / 2.5)))
        image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        figure.colorbar(image, ax=axes).ax.set_ylabel("Token Attribution", rotation=-90, va="bottom")
        self._label(axes)
        axes.set_yticks(range(len(self.output_tokens)), labels=[_short(token) for token in self.output_tokens])
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                ink = "white" if abs(value) > 0.6 * limit else "black"
                axes.text(j, i, f"{value:.4f}", ha="center", va="center", color=ink)
        return self._shown(figure, axes, show)

    def plot_seq_attr(self, show: bool = False) -> tuple[Figure, Axes] | None:
        """Draw a bar for each feature's attribution of the whole output; returns as ``plot_token_attr``."""
        import matplotlib.pyplot as plt

        values = self.seq_attr.detach().cpu().numpy()
        figure, axes = plt.subplots(figsize=(max(6.4, len(values) / 2), max(4.8, len(values) / 4)))
        axes.bar(range(len(values)), values, color=["#b2182b" if v > 0 else "#2166ac" for v in values])
        axes.set_ylabel("Sequence Attribution")
        axes.axhline(0, color="black", linewidth=0.6)
        self._label(axes)
        return self._shown(figure, axes, show)

    def _label(self, axes: Axes) -> None:
        axes.set_xticks(range(len(self.input_tokens)), labels=[_short(token) for token in self.input_tokens])
        axes.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False)
        for label in axes.get_xticklabels():
            label.set(rotation=-30, ha="right", rotation_mode="anchor")

    @staticmethod
    def _shown(figure: Figure, axes: Axes, show: bool) -> tuple[Figure, Axes] | None:
        import matplotlib.pyplot as plt

        figure.set_facecolor("white")
        if not show:
            return figure, axes
        plt.show()
        return None


def _short(token: str) -> str:
    plain = repr(token)[1:-1]
    return plain if len(plain) <= 50 else plain[:47] + "..."
