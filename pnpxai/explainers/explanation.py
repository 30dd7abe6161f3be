"""What ``explain`` returns: attributions and all that belongs to them; prints, plots and saves itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pnpxai.declare import Declared
from pnpxai.errors import ArgumentError
from pnpxai.pictures import panel
from pnpxai.registry import qualified_name
from pnpxai.tensors import Tensors

__all__ = ["Explanation"]


@dataclass(frozen=True)
class Explanation:
    """An explained batch.

    Attributes:
        explainer: the method's name.
        settings: its settings.
        attributions: one tensor for each explained argument or layer.
        inputs: the explained arguments.
        targets: which output was explained.
        scores: (examples,) the model's output there.
        gap: (examples,) how far the attributions are from complete (sums of differences) or conserving (relevance,
            after biases and stabilisers took their parts); None if the method promises neither.
        seconds: how long it took.
        warnings: what was warned of meanwhile.
    """

    explainer: str
    settings: dict[str, Any]
    attributions: Tensors
    inputs: Tensors
    targets: Any
    scores: Tensor
    gap: Tensor | None
    seconds: float
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.scores.shape[0]

    def __str__(self) -> str:
        shapes = ", ".join(str(tuple(a.shape)) for a in self.attributions)
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        lines = [
            f"{self.explainer}({settings})",
            f"  attributions  {shapes}",
            f"  targets       {_short(self.targets)}",
            f"  scores        {_short(self.scores)}",
        ]
        if self.gap is not None:
            lines.append(f"  gap           at most {float(self.gap.abs().max()):.2g}")
        lines.append(f"  time          {self.seconds:.3g} s")
        return "\n".join([*lines, *(f"  warning       {warning}" for warning in self.warnings)])

    def plot(self, limit: int = 6) -> Any:
        """Return a matplotlib figure of the first examples' inputs and maps (of the first explained argument)."""
        shown = range(min(limit, len(self)))
        titles = [f"#{k}  score {float(self.scores[k]):.2f}" for k in shown]
        return panel([self.attributions[0][k] for k in shown], titles, [self.inputs[0][k] for k in shown])

    @classmethod
    def joined(cls, parts: Sequence[Explanation]) -> Explanation:
        """Return one explanation of the examples of several, made by the same explainer batch after batch."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        targets = torch.cat([p.targets for p in parts]) if isinstance(first.targets, Tensor) else first.targets
        return replace(
            first,
            attributions=tuple(torch.cat(members) for members in zip(*(p.attributions for p in parts), strict=True)),
            inputs=tuple(torch.cat(members) for members in zip(*(p.inputs for p in parts), strict=True)),
            targets=targets,
            scores=torch.cat([p.scores for p in parts]),
            gap=None if first.gap is None else torch.cat([p.gap for p in parts if p.gap is not None]),
            seconds=sum(p.seconds for p in parts),
            warnings=tuple(dict.fromkeys(w for p in parts for w in p.warnings)),
        )

    def save(self, folder: str | Path) -> Path:
        """Write ``tensors.safetensors`` and ``explanation.json`` into a folder, each complete or not at all."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"attributions.{k}": a.contiguous() for k, a in enumerate(self.attributions)}
        tensors |= {f"inputs.{k}": x.contiguous() for k, x in enumerate(self.inputs)} | {"scores": self.scores}
        if self.gap is not None:
            tensors["gap"] = self.gap.contiguous()
        if isinstance(self.targets, Tensor):
            tensors["targets"] = self.targets.contiguous()
        facts = {
            "explainer": self.explainer,
            "settings": {name: _written(value) for name, value in self.settings.items()},
            "targets": None if isinstance(self.targets, Tensor) or callable(self.targets) else self.targets,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }
        for name, write in (
            ("tensors.safetensors", lambda path: save_file({n: t.clone() for n, t in tensors.items()}, path)),
            ("explanation.json", lambda path: Path(path).write_text(json.dumps(facts, indent=1))),
        ):
            partial = folder / f".{name}.part"
            write(str(partial))
            partial.replace(folder / name)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Explanation:
        """Read what ``save`` wrote; nothing in it is executed.

        Raises:
            ArgumentError: the folder holds no explanation.
        """
        from safetensors.torch import load_file

        folder = Path(folder)
        if not (folder / "explanation.json").exists():
            raise ArgumentError(f"folder: {folder} holds no explanation.json")
        facts, tensors = (
            json.loads((folder / "explanation.json").read_text()),
            load_file(folder / "tensors.safetensors"),
        )

        def group(prefix: str) -> Tensors:
            return tuple(tensors[f"{prefix}.{k}"] for k in range(sum(n.startswith(f"{prefix}.") for n in tensors)))

        return cls(
            facts["explainer"], facts["settings"], group("attributions"), group("inputs"),
            tensors.get("targets", facts["targets"]), tensors["scores"], tensors.get("gap"), facts["seconds"],
            tuple(facts["warnings"]),
        )  # fmt: skip


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        numbers = value.flatten()[:6].tolist()
        shown = ", ".join(f"{n:.3g}" if isinstance(n, float) else str(n) for n in numbers)
        return shown + (", ..." if value.numel() > 6 else "")
    return str(value)


def _written(value: Any) -> Any:
    if isinstance(value, Declared):
        return value.to_dict()
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, (tuple, list)):
        return [_written(member) for member in value]
    return type(value).__name__ if isinstance(value, torch.nn.Module) else qualified_name(value)
