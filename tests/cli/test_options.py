"""One declaration of options, for all commands, their help and the file."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from click.testing import Result

from pnpxai.cli import commands
from pnpxai.cli.options import OptionsFile
from pnpxai.tuning import TuningResult
from pnpxai.tuning.search import study

Run = Callable[..., Result]
COMMANDS: dict[str, Any] = typer.main.get_command(commands.app).commands  # type: ignore[attr-defined]
ON_DATA = ("doctor", "explain", "tune", "rank", "compare")


def test_every_option_of_the_file_is_one_of_a_command_and_says_what_it_means() -> None:
    found: dict[str, set[str]] = {}
    for name in ON_DATA:
        for option in COMMANDS[name].params:
            found.setdefault(option.name, set()).add(option.help)
    for name in OptionsFile.model_fields:
        (said,) = found[name]  # the same words everywhere
        assert said.endswith(".")
        assert "``" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = run(command, "--help").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert " ".join((inspect.getdoc(getattr(commands, command)) or "").split()) in " ".join(text.split())
    assert "Exit codes: 0 done" in text


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--n-trails", "3"], "No such option: --n-trails"),
        (["--count", "many"], "Invalid value for '--count'"),
        (["--count", "0"], "--count: input should be greater than or equal to 1, got 0"),
        (["-e", "{SmoothGrad: {n_iter: 50}, Lime: {}}"], "explainers: expected a name with its settings"),
        (["-e", "{SmoothGrad: {n_itr: 50}}"], "n_itr"),
        (["--size", "8x8x3"], "--size: "),
        (["--size", "big"], "--size: input should be a valid integer or a valid list, got 'big'"),
        (["--budget", "soon", "-e", "SmoothGrad"], "budget: expected a time such as '5min'"),
        (["--budget", "300 rows", "-e", "SmoothGrad"], "budget: tune is limited by a time or by trials"),
        (["--workers", "2", "-e", "SmoothGrad"], "workers: several processes need a --storage"),
        (["--sampler", "annealing", "-e", "SmoothGrad"], "sampler: no sampler 'annealing'"),
    ],
)
def test_wrong_options(run: Run, model: str, asked: list[str], words: str) -> None:
    ran = run("tune", model, "x.npy", *asked)
    assert ran.exit_code == 2
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == ""


GIVEN = {
    "n_trials": 7, "sampler": "random", "storage": "trials.journal", "workers": 3, "timeout": 90.0, "count": 5,
    "metrics": ["AbPC", "Complexity"], "explainers": ["SmoothGrad", "Occlusion"], "seed": 4,
}  # fmt: skip


@pytest.mark.parametrize("way", ["command", "file"])
@pytest.mark.parametrize("together", [True, False])
def test_what_a_search_is_asked_reaches_it(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch, way: str, together: bool
) -> None:
    calls: list[dict[str, Any]] = []

    def searched(explainer: Any, examples: Any, metric: Any, **options: Any) -> TuningResult:
        several = explainer if isinstance(explainer, list) else [explainer]
        calls.append(
            {name: options.get(name) for name in ("n_trials", "sampler", "storage", "workers", "timeout", "seed")}
            | {"explainers": [type(e).__name__ for e in several], "metrics": [type(m).__name__ for m in metric]}
            | {"count": len(examples)}
        )
        return study.tune(several[0], examples, metric[0], n_trials=1, show_progress=False)

    monkeypatch.setattr("pnpxai.auto.explanation.tune", searched)
    if way == "file":
        Path("run.yaml").write_text(
            f"model: {model}\ndata: x.npy\nexplainers: [SmoothGrad, Occlusion]\nmetrics: [AbPC, Complexity]\n"
            f"n_trials: 7\nsampler: random\nstorage: trials.journal\nworkers: 3\nbudget: 90s\ncount: 5\nseed: 4\n"
            f"together: {str(together).lower()}\nkeep: 3\n"
        )
        ran = run("tune", "--options", "run.yaml")
    else:
        ran = run(
            "tune", model, "x.npy", "-e", "SmoothGrad", "-e", "Occlusion", "-m", "AbPC", "-m", "Complexity",
            "--n-trials", 7, "--sampler", "random", "--storage", "trials.journal", "--workers", 3, "--budget", "90s",
            "--count", 5, "--seed", 4, *(["--together"] if together else []),
        )  # fmt: skip
    assert ran.exit_code == 0, ran.stderr
    names = [["SmoothGrad", "Occlusion"]] if together else [["SmoothGrad"], ["Occlusion"]]
    assert calls == [GIVEN | {"explainers": of} for of in names]


@pytest.mark.parametrize(
    ("written", "score"),
    [
        ("1", lambda output: output[:, 1]),
        ("Contrast(0, 1)", lambda output: output[:, 0] - output[:, 1]),
        ("LogProbability(index=1)", lambda output: output.log_softmax(1)[:, 1]),
    ],
)
def test_a_target_is_written_as_python_writes_it(run: Run, model: str, written: str, score: Any) -> None:
    ran = run("explain", model, "x.npy", "-e", "Gradient", "--count", 2, "--target", written, "--out", "out", "--json")
    assert ran.exit_code == 0, ran.stderr
    scores = json.loads(ran.stdout)["Gradient"]["scores"]
    net = importlib.import_module(Path(model).stem).model
    x = torch.from_numpy(np.load("x.npy")[:2])
    assert scores == pytest.approx(score(net(x)).tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("written", "words"),
    [("Contrst(0, 1)", "did you mean 'Contrast'"), ("Contrast(0", "such as 'Contrast(282, 281)'"), ("one", "'one'")],
)
def test_a_target_that_is_none_is_refused(run: Run, model: str, written: str, words: str) -> None:
    ran = run("explain", model, "x.npy", "-e", "Gradient", "--target", written)
    assert ran.exit_code == 2
    assert words in ran.stderr
