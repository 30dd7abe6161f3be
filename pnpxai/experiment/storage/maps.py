"""A run's maps: a file a chunk, whole or absent, or in memory; found by explainer and example."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pnpxai.experiment.storage.named_by_digest import check_digest, damaged, write_with_digest
from pnpxai.tensors import Tensors

__all__ = ["Mapped", "Maps"]

_CHUNK_BYTES = 2**27  # of a chunk, as they are in memory until it is done


@dataclass(frozen=True)
class Mapped:
    """An explainer's maps of some examples.

    Attributes:
        explainer: its key.
        examples: what each example is known by.
        tensors: (examples, *positions) for each explained argument.
    """

    explainer: str
    examples: tuple[str, ...]
    tensors: Tensors

    @property
    def bytes(self) -> int:
        """How much room they take."""
        return sum(m.nbytes for m in self.tensors)

    def take(self, rows: Sequence[int]) -> Mapped:
        """Return those of some of the examples."""
        tensors = tuple(m[list(rows)] for m in self.tensors)
        return Mapped(self.explainer, tuple(self.examples[row] for row in rows), tensors)


@dataclass(frozen=True)
class _Block:
    """Maps that are read when they are asked for: a file, their place in it and the number of their tensors."""

    explainer: str
    examples: tuple[str, ...]
    path: Path
    place: int
    count: int

    @property
    def tensors(self) -> Tensors:
        from safetensors import SafetensorError, safe_open

        check_digest(self.path)
        try:
            with safe_open(self.path, "pt") as file:
                return tuple(file.get_tensor(f"{self.place}/{k}") for k in range(self.count))
        except (SafetensorError, OSError) as problem:
            raise damaged(self.path, problem) from problem


class Maps:
    """Maps of examples. Of those that were added again, the last.

    Args:
        folder: where they are kept; None for memory.
        limit: how many bytes of maps there may be in the folder; None for no limit.
        known: tells whether an explainer's map of an example is known to be done; a file that holds no such map, as a
            killed run may leave it, is removed.

    Raises:
        ArgumentError: a file is damaged.
    """

    def __init__(self, folder: Path | None, limit: int | None, known: Callable[[str, str], bool]) -> None:
        self.folder, self.limit, self.bytes = folder, limit, 0
        self._blocks: list[Mapped | _Block] = []
        self._of: dict[str, list[int]] = {}
        for path in sorted(folder.glob("*.safetensors")) if folder is not None else ():
            blocks = _read(path)
            if any(known(block.explainer, example) for block in blocks for example in block.examples):
                self._note(blocks)
                self.bytes += path.stat().st_size
            else:
                path.unlink()

    @property
    def room(self) -> int | None:
        """How many bytes of maps that nobody asked for may come of the next chunk; None for any number."""
        if self.folder is None:
            return 0
        return None if self.limit is None else max(0, min(self.limit - self.bytes, _CHUNK_BYTES))

    def has(self, explainer: str, example: str) -> bool:
        """Tell whether there is a map."""
        return self._block(explainer, example) is not None

    def of(self, explainer: str, examples: Sequence[str]) -> Tensors | None:
        """Return an explainer's maps of examples, None where one is missing."""
        places = [self._block(explainer, example) for example in examples]
        read: dict[int, Tensors] = {}
        rows: list[Tensors] = []
        for place, example in zip(places, examples, strict=True):
            if place is None:
                return None
            block = self._blocks[place]
            if place not in read:
                read[place] = block.tensors
            rows.append(tuple(m[block.examples.index(example)] for m in read[place]))
        if len({tuple(m.shape for m in row) for row in rows}) != 1:
            return None
        return tuple(map(torch.stack, zip(*rows, strict=True)))

    def one(self, explainer: str, example: str) -> Tensors | None:
        """Return an explainer's map of one example, None where there is none."""
        maps = self.of(explainer, [example])
        return None if maps is None else tuple(m[0] for m in maps)

    def add(self, name: str, maps: Sequence[Mapped]) -> None:
        """Keep maps, in a file of this name."""
        if not maps or self.folder is None:
            self._note(maps)
            return
        from safetensors.torch import save

        tensors = {f"{n}/{k}": t.contiguous() for n, of in enumerate(maps) for k, t in enumerate(of.tensors)}
        facts = json.dumps([(of.explainer, of.examples, len(of.tensors)) for of in maps])
        path = write_with_digest(
            self.folder, name, ".safetensors", lambda to: to.write_bytes(save(tensors, {"maps": facts}))
        )
        self.bytes += path.stat().st_size
        self._note([_Block(of.explainer, of.examples, path, n, len(of.tensors)) for n, of in enumerate(maps)])

    def _note(self, blocks: Sequence[Mapped | _Block]) -> None:
        for block in blocks:
            for example in block.examples:
                self._of.setdefault(example, []).append(len(self._blocks))
            self._blocks.append(block)

    def _block(self, explainer: str, example: str) -> int | None:
        places = reversed(self._of.get(example, ()))
        return next((place for place in places if self._blocks[place].explainer == explainer), None)


def _read(path: Path) -> list[_Block]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["maps"])
        return [
            _Block(explainer, tuple(map(sys.intern, examples)), path, n, count)
            for n, (explainer, examples, count) in enumerate(facts)
        ]
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as problem:
        raise damaged(path, problem) from problem
