"""Maps that are kept serve further metrics, to the last bit, as far as there is room for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.experiment import Results, compare
from pnpxai.experiment.storage.keys import identities
from pnpxai.experiment.storage.maps import Mapped, Maps
from pnpxai.experiment.storage.store import Store
from pnpxai.explainers.base import Explainer
from pnpxai.traits import Traits
from tests.small import Bright, examples, pictures

QUIET: dict[str, Any] = {"traits": Traits.image(), "show_progress": False, "chunk": 4, "keep": 2}
EXPLAINERS = ["SmoothGrad", "Occlusion"]


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the examples that are explained, whoever asks."""
    seen: list[int] = []
    original = Explainer.attribute

    def attribute(self: Explainer, inputs: Any, *given: Any, **named: Any) -> Any:
        is_probe() or seen.append(len(inputs[0] if isinstance(inputs, tuple) else inputs))
        return original(self, inputs, *given, **named)

    monkeypatch.setattr(Explainer, "attribute", attribute)
    return seen  # type: ignore[return-value]


def _count(explained: list[int]) -> int:
    count = sum(explained)
    explained.clear()
    return count


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_further_metric_explains_nothing_and_says_the_same(
    tmp_path: Path, explained: list[int], dtype: torch.dtype
) -> None:
    net = Bright().to(dtype)
    given = Examples.of([(x := pictures(10).to(dtype), net(x).argmax(1).detach(), None)])
    compare(net, given, EXPLAINERS, ["AbPC"], folder=tmp_path, **QUIET)
    assert _count(explained) == 4 * 10
    more = ["AbPC", "Complexity", "FaithfulnessCorrelation"]
    found = compare(net, given, EXPLAINERS, more, folder=tmp_path, **QUIET)
    assert _count(explained) == 0
    for map_bytes in (0, 2**30):
        fresh = compare(net, given, EXPLAINERS, more, folder=tmp_path / str(map_bytes), map_bytes=map_bytes, **QUIET)
        assert fresh.table.equals(found.table)
        assert fresh.curves == found.curves
        assert all(torch.equal(fresh.maps[label], maps) for label, maps in found.maps.items())
    explaining = found.seconds["explaining"].to_dict()
    assert compare(net, given, EXPLAINERS, ["AbPC"], folder=tmp_path, **QUIET).seconds["explaining"].to_dict() == (
        explaining
    )  # what was explained once took its time once


def test_maps_are_kept_while_there_is_room(tmp_path: Path, explained: list[int]) -> None:
    net, plain = Bright(), QUIET | {"controls": False}
    given = examples(net, 16)
    of_chunk = 4 * 8 * 8 * 4  # bytes: examples, positions, single precision

    def files(folder: Path) -> list[int]:
        return [path.stat().st_size for path in (folder / "store").glob("*.safetensors")]

    compare(net, given, ["SmoothGrad"], ["AbPC"], folder=tmp_path / "some", map_bytes=2 * of_chunk + 1024, **plain)
    assert len(files(tmp_path / "some")) == 2
    compare(net, given, ["SmoothGrad"], ["AbPC"], folder=tmp_path / "all", map_bytes=None, **plain)
    assert len(files(tmp_path / "all")) == 4
    assert sum(files(tmp_path / "all")) < 4 * (of_chunk + 512)
    compare(net, given, ["SmoothGrad"], ["AbPC"], folder=tmp_path / "none", map_bytes=0, **plain)
    assert len(files(tmp_path / "none")) == 1  # of the two examples that are shown
    with pytest.raises(ArgumentError, match="map_bytes: expected a whole number >= 0"):
        compare(net, given, ["SmoothGrad"], ["AbPC"], folder=tmp_path / "none", map_bytes=-1, **plain)
    tables, counts = [], []
    explained.clear()
    for name in ("some", "all", "none"):
        found = compare(net, given, ["SmoothGrad"], ["AbPC", "Complexity"], folder=tmp_path / name, **plain)
        tables.append(found.table)
        counts.append(_count(explained))
    assert counts == [8, 0, 16]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_no_chunk_takes_more_memory_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pnpxai.experiment.storage.maps._CHUNK_BYTES", 4 * 8 * 8 * 4)  # of one explainer
    net = Bright()
    given: dict[str, Any] = QUIET | {"controls": False, "keep": [5], "folder": tmp_path}
    compare(net, examples(net, 8), ["Gradient", "Occlusion"], ["Complexity"], **given)
    store = Store(tmp_path / "store")
    names = [name for batch in examples(net, 8) for name in identities(batch, True, True)]
    kept = [[store.maps.has(key, name) for name in names] for key in set(store.cells()["explainer"])]
    assert sorted(kept) == [[number == 5 for number in range(8)], [True] * 8]


class Two(nn.Module):
    """Two inputs of unlike shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(6, 2), nn.Linear(4, 2)
        with torch.no_grad():
            for k, p in enumerate(self.parameters()):
                p.copy_(torch.linspace(-1, 1, p.numel()).reshape(p.shape).cos() + k)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.one(x).tanh() * self.other(y)


def test_maps_of_several_inputs_are_kept_whole(tmp_path: Path, explained: list[int]) -> None:
    net, generator = Two(), torch.Generator().manual_seed(0)
    x, y = torch.rand(9, 6, generator=generator), torch.rand(9, 4, generator=generator)
    given = Examples.of([((x, y), torch.arange(9) % 2, None)])
    plain: dict[str, Any] = QUIET | {"traits": Traits.table(), "controls": False}
    compare(net, given, ["SmoothGrad"], ["Complexity"], folder=tmp_path, **plain)
    explained.clear()
    found = compare(net, given, ["SmoothGrad"], ["Complexity", "AbPC"], folder=tmp_path, **plain)
    assert _count(explained) == 0
    assert found.table["value"].notna().all()
    assert found.table.equals(compare(net, given, ["SmoothGrad"], ["Complexity", "AbPC"], **plain).table)


def test_maps_without_cells_are_no_maps_and_go(tmp_path: Path, explained: list[int]) -> None:
    net = Bright()
    compare(net, examples(net, 8), ["Gradient"], ["AbPC"], folder=tmp_path, controls=False, **QUIET)
    store = tmp_path / "store"
    whole = {path.name for path in store.glob("*.safetensors")}
    for path in store.glob("*.parquet"):  # as if the run had been killed after the maps were written
        path.unlink()
    explained.clear()
    found = compare(net, examples(net, 8), ["Gradient"], ["AbPC"], folder=tmp_path, controls=False, **QUIET)
    assert _count(explained) == 8
    assert not whole & {path.name for path in store.glob("*.safetensors")}
    assert Results.load(tmp_path).table.equals(found.table)


def test_damage_is_named(tmp_path: Path) -> None:
    maps = Maps(tmp_path, None, lambda explainer, example: True)
    maps.add("a", [Mapped("one", ("x", "y"), (torch.arange(2.0), torch.arange(4).reshape(2, 2)))])
    maps.add("b", [Mapped("one", ("x",), (torch.tensor([5.0]), torch.zeros(1, 2, dtype=torch.long)))])
    for read in (maps, Maps(tmp_path, None, lambda explainer, example: True)):
        found = read.of("one", ["y", "x"])
        assert found is not None
        assert found[0].tolist() == [1.0, 5.0]  # the last that was added
        assert found[1].tolist() == [[2, 3], [0, 0]]
        assert read.of("one", ["y", "z"]) is None
        assert not read.has("other", "x")
    (tmp_path / "a.safetensors").write_bytes(b"no maps")
    with pytest.raises(ArgumentError, match=r"a.safetensors is damaged"):
        Maps(tmp_path, None, lambda explainer, example: True)
