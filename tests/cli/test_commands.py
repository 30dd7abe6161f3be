"""Every command, as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result

from pnpxai.experiment import Results
from pnpxai.explainers.results.explanation import Explanation

Run = Callable[..., Result]


def test_doctor_says_what_fits_and_why_not(run: Run, model: str) -> None:
    text = run("doctor", model, "x.npy").stdout
    assert "GradCam" in text
    assert "AttentionRollout" in text
    found = json.loads(run("doctor", model, "x.npy", "--json").stdout)
    assert found["parts"] == ["convolution", "linear"]
    assert "SmoothGrad" in found["fits"]
    assert "attention" in found["reasons"]["AttentionRollout"]
    assert not set(found["fits"]) & set(found["reasons"])
    assert "SmoothGrad" in json.loads(run("doctor", model, "--json").stdout)["fits"]


@pytest.mark.parametrize("data", ["x.npy", "xy.npz", "pictures", ":made"])
def test_explain_writes_tensors_and_a_picture(run: Run, model: str, data: str) -> None:
    given = model + data if data == ":made" else data
    ran = run("explain", model, given, "-e", "Gradient", "-e", "Occlusion", "--count", 2, "--out", "out", "--json")
    assert ran.exit_code == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert set(found) == {"Gradient", "Occlusion"}
    loaded = Explanation.load(found["Gradient"]["folder"])
    assert loaded.attributions[0].shape == (2, 1, 8, 8)
    assert loaded.scores.tolist() == pytest.approx(found["Gradient"]["scores"])
    assert Path("out/Gradient/picture.png").stat().st_size > 1000


@pytest.mark.parametrize("data", ["rows.csv", "rows.parquet"])
def test_tables_have_their_columns(run: Run, model: str, data: str) -> None:
    ran = run("explain", f"{model}:Table", data, "-e", "Gradient", "--label", "sick", "--target", 1, "--out", "out")
    assert ran.exit_code == 0, ran.stderr
    assert Explanation.load("out/Gradient").views[0].names == ("age", "height", "weight")


def test_tune_prints_and_writes_what_it_found(run: Run, model: str) -> None:
    ran = run("tune", model, "x.npy", "-e", "SmoothGrad", "-m", "AbPC", "--n-trials", 2, "--out", "tuned.json")
    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout.startswith("SmoothGrad: AbPC")
    (found,) = json.loads(Path("tuned.json").read_text())
    assert (found["label"], found["trials"]) == ("SmoothGrad", 2)
    ran = run("compare", model, "x.npy", "-e", "Gradient", "-m", "AbPC", "--tuned", "tuned.json", "--out", "run")
    assert ran.exit_code == 0, ran.stderr
    results = Results.load("run")
    assert results.settings["SmoothGrad (tuned)"]["explainer"] == found["explainer"]
    assert results.tuned[0]["held_out_gain"] == found["held_out_gain"]
    Path("tuned.json").write_text('[{"label": 3}]')
    ran = run("compare", model, "x.npy", "--tuned", "tuned.json", "--out", "run")
    assert ran.exit_code == 2
    assert "tuned: tuned.json holds nothing that tune or rank wrote" in ran.stderr


def test_compare_keeps_a_run_and_reports_it(run: Run, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pnpxai", "compare", "--options", "options.yaml"])
    Path("options.yaml").write_text(
        f"model: {model}\ndata: xy.npz\nexplainers:\n  - Gradient\n  - SmoothGrad: {{n_iter: 10}}\nmetrics: [AbPC]\n"
    )
    ran = run("compare", "--options", "options.yaml", "--count", 5, "--out", "run")
    assert ran.exit_code == 0, ran.stderr
    assert "Report: run/report.html" in ran.stdout
    results = Results.load("run")
    assert results.decision.n == 5
    assert results.settings["SmoothGrad"]["explainer"]["n_iter"] == 10
    assert results.facts["views"]
    assert results.facts["command"] == "pnpxai compare --options options.yaml"
    assert set(results.table.label) == {0, 1}
    page = Path("run/report.html").read_text()
    again = run("report", "run", "--out", "again.html")
    assert again.stdout.strip() == "again.html"
    assert Path("again.html").read_text() == page
    found = json.loads(run("compare", "--options", "options.yaml", "--count", 5, "--out", "run", "--json").stdout)
    assert found["best"] == results.decision.best
    assert {row["explainer"] for row in found["statistics"]} == set(results.explainers)


@pytest.mark.slow
def test_processes_share_the_work_and_stdout_is_for_results(place: Path, model: str) -> None:
    command = [sys.executable, "-m", "pnpxai", "compare", model, "x.npy", "-e", "Gradient", "-m", "AbPC", "--json"]
    runs = {}
    for workers in (1, 2):
        out = f"run{workers}"
        asked = [*command, "--workers", str(workers), "--out", out]
        ran = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["folder"] == out
        assert "comparing" in ran.stderr
        runs[workers] = pd.read_parquet(Path(out) / "values.parquet")
    assert runs[1].equals(runs[2])
    assert "run2" in Results.load("run2").facts["command"]


def test_with_json_one_document_is_all_that_stdout_gets(run: Run, model: str) -> None:
    Path(model).write_text(Path(model).read_text() + "\nprint('hello')\n")
    small = ["-e", "SmoothGrad", "--json"]
    for asked, keys in {
        ("doctor", model, "x.npy", "--json"): {"model", "parts", "assumed", "fits", "reasons"},
        ("explain", model, "x.npy", *small): {"SmoothGrad"},
        ("rank", model, "x.npy", *small, "--n-trials", "2"): {"decision", "tuned", "rows"},
        ("compare", model, "x.npy", *small, "-m", "AbPC", "--out", "run"): {"folder", "report", "best", "set"},
        ("report", "run", "--json"): {"report"},
    }.items():
        ran = run(*asked)
        assert ran.exit_code == 0, ran.stderr
        assert keys <= set(json.loads(ran.stdout))
    (found,) = json.loads(run("tune", model, "x.npy", *small, "--n-trials", "2").stdout)
    assert found["trials"] == 2


OWN = """
from typing import Annotated

from pnpxai.attributors import Saliency
from pnpxai.declare.declared import Range
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.complexity import Complexity


class Scaled(Explainer):
    factor: Annotated[float, Range(0.5, 2.0, step=0.5)] = 1.0

    def attributor(self):
        return Saliency(self.forward_func).configured(abs=False)
"""


def test_a_class_of_ones_own(run: Run, model: str) -> None:
    own = f"own_{Path(model).stem}"
    Path(f"{own}.py").write_text(OWN)
    spec = f"{{{own}.py:Scaled: {{factor: 2.0}}}}"
    ran = run("explain", model, "x.npy", "-e", spec, "-e", f"{own}:Scaled", "-e", "Gradient", "--out", "out", "--json")
    assert ran.exit_code == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert set(found) == {"Scaled", "Scaled 2", "Gradient"}
    scaled, plain = (Explanation.load(found[name]["folder"]) for name in ("Scaled", "Gradient"))
    assert scaled.settings["factor"] == 2.0
    assert scaled.attributions[0].equal(plain.attributions[0])
    ran = run("compare", model, "x.npy", "-e", f"{own}:Scaled", "-m", f"{own}.py:Complexity", "--out", "run")
    assert ran.exit_code == 0, ran.stderr
    assert Results.load("run").metrics == ["Complexity"]
    ran = run("explain", model, "x.npy", "-e", f"{own}.py:Scled")
    assert ran.exit_code == 2
    assert "did you mean 'Scaled'?" in ran.stderr


def test_what_rank_wrote_can_be_compared(run: Run, model: str) -> None:
    ran = run("rank", model, "x.npy", "-e", "SmoothGrad", "-e", "Occlusion", "--budget", "8 trials", "--out", "r.json")
    assert ran.exit_code == 0, ran.stderr
    assert "Written: r.json" in ran.stdout
    assert "verdict" in ran.stdout
    ran = run("compare", model, "x.npy", "-e", "Gradient", "-m", "AbPC", "--tuned", "r.json", "--out", "run")
    assert ran.exit_code == 0, ran.stderr
    assert {"Gradient", "SmoothGrad (tuned)"} <= set(Results.load("run").explainers)
