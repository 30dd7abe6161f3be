"""What a type checker and an editor see of the package: stubs that are up to date, and user code without an error."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pnpxai

ROOT = Path(__file__).parents[1]
README = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
GIVEN = """\
import torch

model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
data = (torch.zeros(4, 3, 2, 2), torch.zeros(4))
"""
"""What the README's examples suppose."""
USE = """\
import torch

from pnpxai import Explanation
from pnpxai.explainers import Explainer, GradCAM, IntegratedGradients, SmoothGrad
from pnpxai.metrics import AbPC
from pnpxai.strategies import GaussianBlur, PostProcessor

net = torch.nn.Sequential(torch.nn.Linear(3, 2))
x = torch.randn(2, 3)
smooth: Explainer = SmoothGrad(net, noise_level=0.1)
in_order = SmoothGrad(net, 0.2, 10)
by_name = IntegratedGradients(net, baseline_fn="mean").replace(n_steps=3)
by_value = IntegratedGradients(net, baseline_fn=GaussianBlur(sigma_x=1.0), layer=net[0])
explanation: Explanation = by_name.explain(x, [0, 1])
total: torch.Tensor = explanation.attributions[0].sum() + explanation.scores.sum()
maps = PostProcessor(pooling_fn="l2")(smooth.attribute(x, 1))
values: torch.Tensor = AbPC(net, in_order, channel_dim=None).measure(x, 1).values
tunables = {explainer: explainer.get_tunables() for explainer in (GradCAM, SmoothGrad)}
"""
UNKNOWN = (
    "reportUnknownMemberType", "reportUnknownArgumentType", "reportUnknownVariableType", "reportUnknownParameterType",
    "reportUnknownLambdaType", "reportMissingParameterType", "reportMissingTypeStubs", "reportMissingTypeArgument",
    "reportPrivateUsage",
)  # fmt: skip
"""Rules that torch and scikit-learn, whose types are incomplete, and a tutorial's own functions break."""


def _stubs():
    spec = importlib.util.spec_from_file_location("stubs", ROOT / "docs" / "hooks" / "stubs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("package", ["pnpxai.explainers", "pnpxai.metrics", "pnpxai.strategies"])
def test_a_stub_lists_the_classes_that_there_are(package):
    stubs = _stubs()
    path = dict(stubs.paths())[package]
    assert path.read_text(encoding="utf-8") == stubs.stub(package), "run python docs/hooks/stubs.py"
    names = set(dir(importlib.import_module(package)))
    stated = set(re.findall(r"^(?:class )?(\w+)(?:\(| = )", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert stated - {"class"} <= names


@pytest.fixture(scope="module")
def errors(tmp_path_factory) -> dict[str, list[str]]:
    """Return pyright's errors by file, of user code in strict mode; of scripts, but for the rules in ``UNKNOWN``."""
    folder = tmp_path_factory.mktemp("code")
    wrong = USE.replace("noise_level=0.1", "noise_levl=0.1").replace('baseline_fn="mean"', "baseline_fn=3")
    scripts = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "tutorials").glob("*.py")}
    scripts["readme"] = "\n".join([GIVEN, *README])
    assert README
    assert len(scripts) > 3
    for name, text in {"use": USE, "wrong": wrong}.items():
        (folder / f"{name}.py").write_text(
            f"# pyright: strict, reportUnknownMemberType=false\n{text}", encoding="utf-8"
        )
    lenient = ", ".join(f"{rule}=false" for rule in UNKNOWN)
    for name, text in scripts.items():
        (folder / f"{name}.py").write_text(f"# pyright: strict, {lenient}\n{text}", encoding="utf-8")
    settings = {"pythonVersion": "3.11", "include": ["."], "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "-p", str(folder), "--outputjson", "--pythonpath", sys.executable]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    by_file: dict[str, list[str]] = {name: [] for name in ("use", "wrong", *scripts)}
    for found in json.loads(ran.stdout)["generalDiagnostics"]:
        by_file[Path(found["file"]).stem].append(f"line {found['range']['start']['line']}: {found['message']}")
    return by_file


@pytest.mark.slow
def test_user_code_the_readme_and_the_tutorials_have_no_type_error(errors):
    assert {name: found for name, found in errors.items() if found and name != "wrong"} == {}


@pytest.mark.slow
def test_a_wrong_setting_is_a_type_error(errors):
    assert any("noise_levl" in error for error in errors["wrong"])
    assert any("baseline_fn" in error for error in errors["wrong"])


def test_completion_shows_the_classes():
    assert {"SmoothGrad", "GradCAM"} <= set(dir(pnpxai.explainers))
    assert "AbPC" in dir(pnpxai.metrics)
    assert {"GaussianBlur", "PostProcessor"} <= set(dir(pnpxai.strategies))
