"""What may be read from strangers runs nothing, reaches no other file, and fills no memory; a report tells no paths."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pnpxai import AutoExplanation
from pnpxai.cli.actions import _without_machine
from pnpxai.cli.data import load_data
from pnpxai.cli.models import _fill
from pnpxai.cli.options import Explain
from pnpxai.cli.options_file import read_options
from pnpxai.errors import ArgumentError
from pnpxai.experiment import Results, compare
from pnpxai.explainers.base import Explainer
from pnpxai.report import write_report
from pnpxai.traits import Traits
from tests.small import Bright, examples

SCRIPT = "<script>alert('taken')</script>"


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # noqa: ANN204
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "w.pt", "w.bin"])
def test_a_pickle_is_not_run(name: str, tmp_path: Path) -> None:
    path, mark = tmp_path / name, tmp_path / "ran"
    objects = np.array([Touches(mark)], dtype=object)
    if name.endswith("npy"):
        np.save(path, objects, allow_pickle=True)
    elif name.endswith("npz"):
        np.savez(path, x=objects)
    else:
        path.write_bytes(pickle.dumps({"layer.weight": Touches(mark)}))
    with pytest.raises(ArgumentError):
        _fill(Bright(), path) if name.startswith("w") else load_data(Explain(data=[str(path)]))
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "model: !!python/object/apply:os.system ['touch ran']",
        "model: !!python/name:os.system",
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]",
        "&a [*a]",
        "[" * 20_000,
        "model: " + "{a: " * 2_000,
    ],
    ids=["apply", "name", "aliases", "itself", "lists", "mappings"],
)
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_options_are_plain_values(text: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"o.{suffix}").write_text(text)
    with pytest.raises(ArgumentError, match="options: "):
        read_options(Path(f"o.{suffix}"))
    assert os.listdir() == [f"o.{suffix}"]


def test_a_small_archive_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pnpxai.cli.data._LARGE", 2**20)  # of bytes; else it takes long to make one
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((4, 2**20), np.uint8))
    with pytest.raises(ArgumentError, match="it would take"):
        load_data(Explain(data=[str(tmp_path / "x.npz")]))


@pytest.mark.parametrize("where", ["os:system", "subprocess:run", "builtins:eval", "pathlib:Path.unlink", "no:thing"])
def test_settings_name_no_function_of_python(where: str) -> None:
    data = {"type": "pnpxai.explainers.perturbation.lime:Lime", "baseline_fn": {"callable": where}}
    with pytest.raises(ArgumentError):
        Explainer.from_dict(data, Bright())
    with pytest.raises(ArgumentError):
        Explainer.from_dict({"type": where}, Bright())


def test_a_run_reads_no_file_outside_of_its_folder(tmp_path: Path) -> None:
    quiet = {"traits": Traits.image(), "show_progress": False}
    compare(Bright(), examples(Bright(), 4), ["Gradient"], ["Complexity"], folder=tmp_path / "run", **quiet)  # type: ignore[arg-type]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    del record["checksum"]
    for name in ("../secret", str(tmp_path / "secret"), "store/../../secret"):
        (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"files": {name: "0"}}))
        with pytest.raises(ArgumentError, match="names a file outside of the run"):
            Results.load(tmp_path / "run")


def test_names_are_text_on_every_page(tmp_path: Path) -> None:
    frame = pd.DataFrame(torch.randn(6, 3).numpy(), columns=[SCRIPT, "=1+1", "b"])
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    auto = AutoExplanation(net, frame, class_names=[SCRIPT, "no"])
    shown = auto.explain("Gradient", count=2)
    assert SCRIPT not in shown._repr_html_()
    results = auto.compare(["Gradient"], ["Complexity"], show_progress=False)
    page = write_report(results, tmp_path / "r.html", title=SCRIPT).read_text()
    assert SCRIPT not in page
    assert "alert(" in page


def test_a_command_is_recorded_without_the_folders_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given, shown in {
        str(tmp_path / "a" / "net.py"): "a/net.py",
        f"{tmp_path / 'net.py'}:model": "net.py:model",
        f"--out={tmp_path / 'run'}": "--out=run",
        "/home/someone/secret/net.py:model": ".../net.py:model",
        "net.py": "net.py", "-e": "-e", "a=b": "a=b",
    }.items():  # fmt: skip
        assert _without_machine(given) == shown
