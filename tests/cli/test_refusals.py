"""What is asked wrongly, or cannot be done, is said in one line; nothing is half-written."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Run = Callable[..., Result]


def _refused(ran: Result, words: str, code: int = 2) -> None:
    assert ran.exit_code == code, (ran.output, ran.exception)
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("pnpxai: ")
    assert ran.stdout == ""


@pytest.mark.parametrize("command", ["doctor", "explain", "tune", "compare"])
def test_a_wrong_model(run: Run, model: str, command: str) -> None:
    for given, words in {
        "nothing.py": "model: no file nothing.py",
        "nothing": "model: expected module:attribute or a Python file, got 'nothing'",
        "nothing.at.all:model": "cannot be imported (ModuleNotFoundError",
        f"{model}:modl": "has no 'modl'; did you mean 'model'?",
        f"{model}:Needy": "Needy needs width; name an object",
        f"{model}:made": "is no model but Tensor",
    }.items():
        _refused(run(command, given, "x.npy"), words)
    _refused(run(command), "model: expected module:attribute or a Python file, as an argument or in --options")


@pytest.mark.parametrize("command", ["doctor", "explain", "tune", "compare"])
def test_wrong_data(run: Run, model: str, command: str) -> None:
    Path("notes.md").write_text("no data")
    Path("bad.npy").write_text("no data")
    np.savez("three.npz", a=np.zeros(3), b=np.zeros(3), c=np.zeros(3))
    for given, words in {
        "empty": "no pictures (.png, .jpg, .jpeg ...) in the folder empty",
        "missing.csv": "data: no file missing.csv",
        "missing": "data: missing is nothing; expected a folder of pictures",
        "notes.md": "data: notes.md is a file of another kind",
        "bad.npy": "bad.npy holds no plain arrays",
        "three.npz": "a batch holds a, b, c",
        f"{model}:dta": "has no 'dta'",
    }.items():
        _refused(
            run(command, model, given, "-e", "Gradient") if command != "doctor" else run(command, model, given), words
        )
    _refused(
        run(command, f"{model}:Table", "rows.csv", "--label", "sik"),
        "label: rows.csv has no 'sik'; did you mean 'sick'?",
    )


def test_pictures_that_are_none_or_differ(run: Run, model: str) -> None:
    Image.new("L", (9, 8)).save("pictures/cats/other.png")
    _refused(run("explain", model, "pictures", "-e", "Gradient"), "scale them with --size")
    assert run("explain", model, "pictures", "-e", "Gradient", "--size", 8).exit_code == 0
    Path("pictures/cats/0.png").write_bytes(b"no picture")
    ran = run("explain", model, "pictures", "-e", "Gradient", "--size", 8)
    assert ran.exit_code == 0
    assert "left out: pictures/cats/0.png is no picture that can be read" in ran.stderr


def test_wrong_names(run: Run, model: str) -> None:
    _refused(run("explain", model, "x.npy", "-e", "SmothGrad"), "no explainer 'SmothGrad'; did you mean 'SmoothGrad'?")
    _refused(run("compare", model, "x.npy", "-e", "Gradient", "-m", "ABPC"), "no metric 'ABPC'; did you mean 'AbPC'?")
    _refused(run("tune", model, "x.npy"), "explainers: expected at least one to tune")
    _refused(run("explain", model, "x.npy", "--modality", "picture"), "modality: ")


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_a_wrong_option_in_a_file_is_named_with_its_line(run: Run, model: str, kind: str) -> None:
    def written(key: str, value: str) -> str:
        lines = [("model", f'"{model}"'), ("data", '"x.npy"'), (key, value)]
        if kind == "yaml":
            text = "\n".join(f"{name}: {of}" for name, of in lines)
        else:
            text = "{\n" + ",\n".join(f'"{name}": {of}' for name, of in lines) + "\n}"
        Path(f"options.{kind}").write_text(text)
        return f"options.{kind}"

    line = 3 if kind == "yaml" else 4
    for key, value, words in (
        ("explaners", '["Gradient"]', "explaners: there is no such option; did you mean 'explainers'?"),
        ("count", '"5"', "count: input should be a valid integer, got '5'"),
        ("count", "0", "count: input should be greater than or equal to 1, got 0"),
        ("seed", "true", "seed: input should be a valid integer, got True"),
        ("modality", '"sound"', "modality: input should be 'graph', 'image', 'table', 'text' or 'series', got 'sound'"),
    ):
        path = written(key, value)
        _refused(run("compare", "--options", path), f"options: {path}, line {line}, {words}")
    Path(f"options.{kind}").write_text("{[")
    _refused(run("compare", "--options", f"options.{kind}"), "is no YAML or JSON")
    Path(f"options.{kind}").write_text("3")
    _refused(run("compare", "--options", f"options.{kind}"), "expected options by name, got int")
    _refused(run("compare", "--options", "missing.yaml"), "options: missing.yaml cannot be read")


def test_where_nothing_can_be_written(run: Run, model: str) -> None:
    Path("file").write_text("here already")
    for command in ("explain", "compare"):
        _refused(run(command, model, "x.npy", "-e", "Gradient", "--out", "file/run"), "Not a directory", 1)
        _refused(run(command, model, "x.npy", "-e", "Gradient", "--out", "/proc/pnpxai"), "/proc/pnpxai", 1)
    _refused(run("report", "empty"), "holds no run.json")
    _refused(run("demo", "--out", "file"), "file", 1)
    _refused(run("tune", model, "x.npy", "-e", "SmoothGrad", "--out", "empty"), "expected a file")


def test_a_folder_that_cannot_be_written_to(run: Run, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, data: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_bytes", denied)
    for command in ("explain", "compare"):
        _refused(run(command, model, "x.npy", "-e", "Gradient", "--out", "run"), "Permission denied", 1)
        assert not Path("run").exists()


def test_a_full_disk_leaves_no_half_files_and_the_run_goes_on(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pnpxai.experiment.storage import store

    write, calls = store.pq.write_table, []

    def full(table: Any, path: Path) -> None:
        calls.append(path)
        Path(path).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(store.pq, "write_table", full)
    arguments = ("compare", model, "x.npy", "-e", "Gradient", "-m", "AbPC", "--out", "run")
    ran = run(*arguments)
    assert ran.exit_code == 1
    assert "No space left on device" in ran.stderr.strip().splitlines()[-1]
    assert calls
    assert not list(Path("run/store").glob("*.parquet"))
    assert not list(Path("run").rglob("*.part"))
    assert not Path("run/run.json").exists()
    monkeypatch.setattr(store.pq, "write_table", write)
    assert run(*arguments).exit_code == 0
