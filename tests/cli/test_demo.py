"""The command line, as a person runs it."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import pnpxai
from pnpxai.cli.commands import app
from pnpxai.explainers.base import Explainer

RUNNER = CliRunner()


def test_version_and_help() -> None:
    assert RUNNER.invoke(app, ["--version"]).output.strip() == pnpxai.__version__
    text = RUNNER.invoke(app, ["--help"]).output
    assert "demo" in text


def test_wrong_options_end_with_a_message_and_a_nonzero_status() -> None:
    found = RUNNER.invoke(app, ["demo", "--n-trials", "0"])
    assert found.exit_code == 2
    assert "n-trials" in found.output


def test_importing_stays_light() -> None:
    heavy = ("zennit", "torchvision", "sklearn", "optuna", "matplotlib", "pandas", "scipy", "captum")
    code = f"import sys, pnpxai; print([m for m in {heavy!r} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def _demo(folder, *options: str) -> str:  # noqa: ANN001
    command = [sys.executable, "-m", "pnpxai", "demo", "--out", str(folder), "--n-images", "32", "--n-trials", "4"]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.slow(first=True)
def test_the_demo_is_repeatable_and_its_files_are_whole(tmp_path) -> None:  # noqa: ANN001
    import pandas as pd

    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    output = _demo(first)
    _demo(second)
    _demo(other, "--seed", "1")
    tables = [pd.read_parquet(folder / "run" / "values.parquet") for folder in (first, second, other)]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])
    tuned = [json.loads((folder / "tuned.json").read_text()) for folder in (first, second, other)]
    assert tuned[0] == tuned[1] != tuned[2]
    assert {t["label"] for t in tuned[0]} >= {"SmoothGrad", "IntegratedGradients", "Occlusion"}
    for entry in tuned[0]:
        Explainer.from_dict(entry["explainer"], lambda x: x)
    assert len(set(tables[0].key)) == 32
    report = (first / "report.html").read_text()
    assert "ranks first" in report
    assert "Compared on 32 held-out digits" in output


def test_photographs_need_a_package_that_is_named(tmp_path) -> None:  # noqa: ANN001
    answer = RUNNER.invoke(app, ["demo", "--photos", "--out", str(tmp_path / "photos")])
    assert answer.exit_code != 0
    assert "pip install 'pnpxai[demo]'" in answer.output
    assert not (tmp_path / "photos").exists()
