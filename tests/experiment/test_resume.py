"""A run folder: what is there is not computed again, whatever came between."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from pnpxai.attributors.base import Attributor
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.experiment import Results, compare
from pnpxai.experiment.storage.store import Store, writing
from pnpxai.explainers.base import Explainer
from pnpxai.traits import Traits
from tests.forked import Forked
from tests.small import Bright, examples, pictures

IMAGE = Traits.image()
QUIET: dict[str, Any] = {"traits": IMAGE, "controls": False, "show_progress": False}


def ran(rows: list[int]) -> int:
    count = sum(rows)
    rows.clear()
    return count


def test_the_same_call_runs_nothing_again(tmp_path: Path, net: Bright, rows: list[int]) -> None:
    first = compare(net, examples(net), ["Gradient", "SmoothGrad"], ["AbPC"], folder=tmp_path, keep=3, **QUIET)
    assert ran(rows[4:]) > 16
    rows.clear()
    again = compare(net, examples(net), ["Gradient", "SmoothGrad"], ["AbPC"], folder=tmp_path, keep=3, **QUIET)
    assert ran(rows) == 2 * 8  # the targets that ``examples`` itself asks for
    assert again.table.equals(first.table)
    assert again.seconds.equals(first.seconds)
    assert again.curves == first.curves
    assert all(torch.equal(again.maps[label], maps) for label, maps in first.maps.items())


def test_what_is_added_is_all_that_runs(tmp_path: Path, net: Bright, rows: list[int]) -> None:
    few, more = examples(net, 8), examples(net, 16)
    plain: dict[str, Any] = QUIET | {"chunk": 8}

    def alone(given: Examples, explainers: list[str], metrics: list[str]) -> int:
        rows.clear()
        compare(net, given, explainers, metrics, **plain)
        return ran(rows)

    each = {
        "gradient": alone(few, ["Gradient"], ["AbPC"]),
        "both": alone(few, ["GradientXInput"], ["AbPC"]),
        "half": alone(few, ["Gradient", "GradientXInput"], ["AbPC", "Complexity"]),
    }
    folder: dict[str, Any] = plain | {"folder": tmp_path}
    rows.clear()
    compare(net, few, ["Gradient"], ["AbPC"], **folder)
    assert ran(rows) == each["gradient"]
    compare(net, few, ["Gradient", "GradientXInput"], ["AbPC"], **folder)
    assert ran(rows) == each["both"]
    compare(net, few, ["Gradient", "GradientXInput"], ["AbPC", "Complexity"], **folder)
    assert ran(rows) == 0  # all maps were kept, and AbPC is not measured again
    whole = compare(net, more, ["Gradient", "GradientXInput"], ["AbPC", "Complexity"], **folder)
    assert ran(rows) == each["half"]
    fresh = compare(net, more, ["Gradient", "GradientXInput"], ["AbPC", "Complexity"], **plain)
    assert whole.table.equals(fresh.table)


def test_other_settings_models_seeds_and_targets_are_other_cells(tmp_path: Path, net: Bright) -> None:
    given, kept = examples(net, 4), []

    def run(model: Bright, examples_: Examples, explainer: Any, **changes: Any) -> Results:
        found = compare(model, examples_, [explainer], ["AbPC"], folder=tmp_path, **(QUIET | changes))
        kept.append(len(Store(tmp_path / "store")))
        return found

    run(net, given, "SmoothGrad")
    run(net, given, "VarGrad")
    other = Bright()
    with torch.no_grad():
        other.head.weight.mul_(2)
    run(other, given, "SmoothGrad")
    run(net, given, "SmoothGrad", seed=1)
    flipped = Examples.of([(b.inputs, 1 - b.targets, None) for b in given if b.targets is not None])
    found = run(net, flipped, "SmoothGrad")
    assert kept == [4, 8, 12, 16, 20]
    assert found.table.target.tolist() == [int(t) for b in flipped for t in b.targets]
    run(net, given, "SmoothGrad")
    assert kept[-1] == 20


def test_more_maps_can_be_asked_for_later(tmp_path: Path, net: Bright) -> None:
    given = examples(net, 12)
    compare(net, given, ["Gradient"], ["AbPC"], folder=tmp_path, keep=2, **QUIET)
    found = compare(net, given, ["Gradient"], ["AbPC"], folder=tmp_path, keep=[1, 9], **QUIET)
    assert found.kept == (1, 9)
    fresh = compare(net, given, ["Gradient"], ["AbPC"], keep=12, **QUIET)
    assert torch.allclose(found.maps["Gradient"], fresh.maps["Gradient"][[1, 9]])
    assert torch.equal(found.inputs, torch.cat([b.inputs for b in given])[[1, 9]])
    read = Results.load(tmp_path)
    assert (read.kept, read.curves) == (found.kept, found.curves)


class _Weak(Attributor):
    def __init__(self) -> None:
        super().__init__(lambda x: x)

    def attribute(self, inputs, **arguments):  # noqa: ANN001, ANN202
        if (inputs[0] > 0.999).flatten(1).any(1).any():
            raise RuntimeError("the disk of this machine is on fire")
        return inputs[0]


class Weak(Explainer):
    """Breaks on examples with a white pixel."""

    works = False

    def attributor(self) -> Attributor:
        from pnpxai.attributors.gradient.saliency import Saliency

        return Saliency(self.forward_func) if Weak.works else _Weak()


def test_one_broken_example_is_a_cell_with_a_reason_and_is_tried_again(tmp_path: Path, net: Bright) -> None:
    x = pictures(8) * 0.9
    x[3, 0, 0, 0] = 1.0
    given = Examples.of([(x, torch.zeros(8, dtype=torch.long), None)])
    found = compare(net, given, [Weak, "Gradient"], ["AbPC"], folder=tmp_path, **QUIET)
    broken = found.table[found.table.explainer == "Weak"]
    assert broken.value.isna().tolist() == [k == 3 for k in range(8)]
    assert broken.reason[3] == "RuntimeError: the disk of this machine is on fire"
    assert found.maps["Weak"].isnan().flatten(1).all(1).tolist() == [k == 3 for k in range(8)]
    Weak.works = True
    try:
        mended = compare(net, given, [Weak, "Gradient"], ["AbPC"], folder=tmp_path, **QUIET)
    finally:
        Weak.works = False
    assert mended.table.value.notna().all()
    assert not mended.maps["Weak"].isnan().any()


def test_bad_data_is_a_cell_with_a_reason(net: Bright) -> None:
    x = pictures(8)
    x[5, 0, 2, 2] = float("nan")
    given = Examples.of([(x, torch.zeros(8, dtype=torch.long), None)])
    found = compare(net, given, ["Gradient"], ["AbPC"], **QUIET)
    assert found.table.value.isna().tolist() == [k == 5 for k in range(8)]
    assert "expected finite numbers" in found.table.reason[5]


def test_a_folder_has_one_writer_and_damage_is_named(tmp_path: Path, net: Bright) -> None:
    compare(net, examples(net, 4), ["Gradient"], ["AbPC"], folder=tmp_path, **QUIET)
    with writing(tmp_path), pytest.raises(ArgumentError, match="another run is writing"):
        compare(net, examples(net, 4), ["Gradient"], ["AbPC"], folder=tmp_path, **QUIET)
    (part,) = (tmp_path / "store").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:50])
    with pytest.raises(ArgumentError, match=f"{part.name} is damaged"):
        compare(net, examples(net, 4), ["Gradient"], ["AbPC"], folder=tmp_path, **QUIET)
    part.unlink()
    compare(net, examples(net, 4), ["Gradient"], ["AbPC"], folder=tmp_path, **QUIET)
    (tmp_path / "values.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArgumentError, match="damaged run"):
        Results.load(tmp_path)


def upper(output: torch.Tensor) -> torch.Tensor:
    return output[:, 0]


def test_targets_may_be_a_function_of_the_output(tmp_path: Path, net: Bright) -> None:
    given = [Examples.of([(pictures(4), target, None)]) for target in (upper, torch.zeros(4, dtype=torch.long))]
    found = [compare(net, e, ["Gradient"], ["Complexity"], folder=tmp_path, **QUIET) for e in given]
    assert found[0].table.value.tolist() == found[1].table.value.tolist()
    assert found[0].table.target.tolist() == [-1] * 4
    assert len(Store(tmp_path / "store")) == 8
    unnamed = Examples.of([(pictures(4), lambda output: output[:, 0], None)])  # type: ignore[arg-type]
    assert len(compare(net, unnamed, ["Gradient"], ["Complexity"], **QUIET).table) == 4
    with pytest.raises(ArgumentError, match="targets: .* cannot be written"):
        compare(net, unnamed, ["Gradient"], ["Complexity"], folder=tmp_path, **QUIET)


def test_what_cannot_be_written_is_refused_only_where_it_would_be(tmp_path: Path, net: Bright) -> None:
    common = {"forward_arg_extractor": lambda batch: batch}
    given: dict[str, Any] = QUIET | {"common": common}
    assert len(compare(net, examples(net, 4), ["Gradient"], ["AbPC"], **given).table) == 4
    with pytest.raises(ArgumentError, match="forward_arg_extractor: .* cannot be written to JSON"):
        compare(net, examples(net, 4), ["Gradient"], ["AbPC"], folder=tmp_path, **given)
    with pytest.raises(ArgumentError, match="target_extractor: .* cannot be written"):
        compare(net, pictures(4), ["Gradient"], folder=tmp_path, target_extractor=lambda out: out.argmax(1), **QUIET)


def _logged(folder: Path, log: Path) -> None:
    """Compare, and write the number of rows of each pass to a log."""
    net = Bright()
    with log.open("a") as file:
        net.conv.register_forward_hook(lambda m, i, o: print(len(i[0]), file=file, flush=True))
        compare(
            net, examples(net, 48, 8), ["SmoothGrad", "Gradient"], ["AbPC", "FaithfulnessCorrelation"],
            traits=Traits.image(), folder=folder, chunk=4, show_progress=False,
        )  # fmt: skip


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "log"

    def counted(name: Path) -> int:
        return sum(map(int, name.read_text().split())) if name.exists() else 0

    for chunks in (2, 5, 9):
        process = Forked(_logged, folder, log)
        while len(list((folder / "store").glob("*.parquet"))) < chunks and process.poll() is None:
            time.sleep(0.005)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "run.json").exists()
    whole, other = tmp_path / "whole", tmp_path / "other"
    assert Forked(_logged, folder, log).wait() == 0
    _logged(whole, other)
    assert Results.load(folder).table.equals(Results.load(whole).table)
    in_all = counted(other) - 48  # without the targets, which each process asks for
    assert counted(log) - 4 * 48 <= in_all + 3 * in_all / 12
    assert len(list((folder / "store").glob("*.parquet"))) == 1
    assert not list((folder / "store").glob(".*.part"))
