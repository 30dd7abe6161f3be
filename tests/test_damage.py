"""Files of every kind that the package writes, with a bit flipped or the end cut off: the same values, or our error."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.experiment import Results, compare
from pnpxai.experiment.storage.store import Store
from pnpxai.explainers import SmoothGrad
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune
from tests.small import Bright, examples

QUIET = {"traits": Traits.image(), "show_progress": False}


@dataclass(frozen=True)
class Kind:
    """A kind of file: where it lies, and what is read from it, in a form that can be compared."""

    path: Callable[[Path], Path]
    read: Callable[[Path], str]


def _run(folder: Path) -> str:
    results = Results.load(folder / "run")
    maps = {label: m.numpy().tobytes() for label, m in results.maps.items()}
    parts = (
        results.table.to_csv(), results.seconds.to_csv(), str(results.curves), str(results.settings),
        str(results.facts), str(sorted(maps.items())), results.inputs.numpy().tobytes(), str(results.tuned),
    )  # fmt: skip
    return repr(parts)


def _store(folder: Path) -> str:
    store = Store(folder / "run" / "store")
    cells = store.cells()
    maps = [
        store.maps.one(explainer, example) for explainer, example in zip(cells.explainer, cells.example, strict=True)
    ]
    return cells.to_csv() + repr([m[0].numpy().tobytes() if m else None for m in maps])


def _study(name: str, folder: Path) -> str:
    trials = _search(folder / name).study.trials
    return repr([(t.params, t.values, t.intermediate_values, t.state) for t in trials])


def _tuned(folder: Path) -> str:
    return repr(TuningResult.load(folder / "tuned.json", Bright()).to_dict())


def _one(pattern: str, folder: Path) -> Path:
    return next(path for path in sorted(folder.glob(pattern)) if path.is_file())


KINDS = {
    "run.json": Kind(partial(_one, "run/run.json"), _run),
    "values.parquet": Kind(partial(_one, "run/values.parquet"), _run),
    "maps.safetensors": Kind(partial(_one, "run/maps.safetensors"), _run),
    "store/*.parquet": Kind(partial(_one, "run/store/*.parquet"), _store),
    "store/*.safetensors": Kind(partial(_one, "run/store/*.safetensors"), _store),
    "tuned.json": Kind(partial(_one, "tuned.json"), _tuned),
    "tuning.db": Kind(partial(_one, "tuning.db"), partial(_study, "tuning.db")),
    "tuning.journal": Kind(partial(_one, "tuning.journal"), partial(_study, "tuning.journal")),
}


def _search(storage: Path) -> TuningResult:
    return tune(SmoothGrad(Bright(), n_iter=2), _few(), "AbPC", n_trials=3, n_seeds=0, storage=storage, **QUIET)  # type: ignore[arg-type]


def _few() -> Examples:
    return examples(Bright(), 6)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of every kind."""
    folder = tmp_path_factory.mktemp("written")
    compare(Bright(), _few(), ["Gradient"], ["AbPC"], folder=folder / "run", **QUIET)  # type: ignore[arg-type]
    for storage in ("tuning.db", "tuning.journal"):
        result = _search(folder / storage)
    result.save(folder / "tuned.json")
    return folder


def outcomes(written: Path, at: Path, kind: Kind, flips: int, seed: int) -> Counter[str]:
    """Return how often a file with one flipped bit gave the same values, other values, or our error."""
    draw, counts = random.Random(seed), Counter[str]()  # noqa: S311
    expected = kind.read(written)
    content = kind.path(written).read_bytes()
    for _ in range(flips):
        folder = at / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(written, folder)
        path = folder / kind.path(written).relative_to(written)
        changed = bytearray(content)
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        try:
            counts["same" if kind.read(folder) == expected else "other"] += 1
        except ArgumentError as problem:
            said = any(words in str(problem) for words in ("damaged", "cannot be", "holds another"))
            counts["error" if said else f"unclear: {problem}"] += 1
    return counts


@pytest.mark.parametrize("name", KINDS)
def test_a_flipped_bit_never_gives_another_value(name: str, written: Path, tmp_path: Path) -> None:
    assert set(outcomes(written, tmp_path, KINDS[name], 8, seed=1)) <= {"same", "error"}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_flipped_bits_never_give_another_value(name: str, written: Path, tmp_path: Path) -> None:
    assert set(outcomes(written, tmp_path, KINDS[name], 150, seed=2)) <= {"same", "error"}


@pytest.mark.parametrize("name", [name for name in KINDS if name != "tuning.journal"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused(name: str, share: float, written: Path, tmp_path: Path) -> None:
    if name == "tuning.db" and share == 0:
        pytest.skip("an empty file is a new database")
    folder = tmp_path / "cut"
    shutil.copytree(written, folder)
    path = folder / KINDS[name].path(written).relative_to(written)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ArgumentError):
        KINDS[name].read(folder)


def test_a_run_json_of_another_shape_is_refused(written: Path, tmp_path: Path) -> None:
    for text in ("{}", "[]", "3", '{"facts": 1}', '{"settings": {"A": 3}}', "null", '"text"'):
        folder = tmp_path / "run"
        shutil.copytree(written / "run", folder, dirs_exist_ok=True)
        (folder / "run.json").write_text(text)
        with pytest.raises(ArgumentError, match="run.json"):
            Results.load(folder)


def test_what_is_undefined_is_null_in_json_and_nan_again(tmp_path: Path) -> None:
    result = _search(tmp_path / "a.db")
    text = result.save(tmp_path / "tuned.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    one = tune(SmoothGrad(Bright(), n_iter=2), examples(Bright(), 2), "AbPC", n_trials=1, n_seeds=0, **QUIET)  # type: ignore[arg-type]
    read = TuningResult.load(one.save(tmp_path / "one.json"), Bright())
    np.testing.assert_equal(read.to_dict(), one.to_dict())


@pytest.mark.parametrize("name", ["a?b#c%41{x}.db", "a b é 日本.journal", "n" * 200 + ".db", "run?x=1"])
def test_odd_names_are_those_files(name: str, tmp_path: Path) -> None:
    result = _search(tmp_path / name)
    assert (tmp_path / name).exists()
    assert {path.name.removesuffix(".lock").removesuffix(".planning") for path in tmp_path.iterdir()} == {name}
    before = [t.datetime_complete for t in result.study.trials]
    assert [t.datetime_complete for t in _search(tmp_path / name).study.trials] == before


@pytest.mark.parametrize("name", ["a?b#c%41{x}", "a b é 日本", "n" * 200])
def test_odd_run_folders(name: str, tmp_path: Path) -> None:
    results = compare(Bright(), _few(), ["Gradient"], ["AbPC"], folder=tmp_path / name, **QUIET)  # type: ignore[arg-type]
    assert Results.load(tmp_path / name).table.equals(results.table)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_journal_that_optuna_wrote_is_read(tmp_path: Path) -> None:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    from pnpxai.tuning.storage.storages import opened

    own = opened(tmp_path / "own.journal")
    optuna.create_study(storage=own.backend, study_name="s").add_trial(optuna.trial.create_trial(value=0.1 + 0.2))
    lock = JournalFileOpenLock(str(tmp_path / "another"))  # Optuna waits long for one that it takes for left behind
    plain = JournalStorage(JournalFileBackend(str(tmp_path / "own.journal"), lock_obj=lock))
    optuna.load_study(storage=plain, study_name="s").add_trial(optuna.trial.create_trial(value=1.0))
    study = optuna.load_study(storage=opened(tmp_path / "own.journal").backend, study_name="s")
    assert [trial.value for trial in study.trials] == [0.1 + 0.2, 1.0]


def test_a_full_disk_is_said_with_the_path(tmp_path: Path) -> None:
    from pnpxai.files import write_json

    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    (tmp_path / "before.json").write_text("{}")

    def full(_: Path) -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x" * 100_000)

    from pnpxai.files import write_file

    with pytest.raises(OSError, match="No space left on device; nothing was changed there: .*before.json"):
        write_file(tmp_path / "before.json", full)
    assert (tmp_path / "before.json").read_text() == "{}"
    assert len(list(tmp_path.iterdir())) == 1
    write_json(tmp_path / "before.json", {"a": float("nan"), "b": [float("inf"), 1.0]})
    assert "null" in (tmp_path / "before.json").read_text()


def test_tensors_of_a_map_are_read_only_after_a_check(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / "run", tmp_path / "run")
    (path,) = (tmp_path / "run" / "store").glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match="is damaged; delete it"):
        compare(Bright(), _few(), ["Gradient"], ["AbPC", "Complexity"], folder=tmp_path / "run", **QUIET)  # type: ignore[arg-type]
    path.unlink()
    torch.manual_seed(0)
    compare(Bright(), _few(), ["Gradient"], ["AbPC", "Complexity"], folder=tmp_path / "run", **QUIET)  # type: ignore[arg-type]
