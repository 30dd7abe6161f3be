"""Explanations written and read: equal, plain, complete, and refused when damaged."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pnpxai.errors import ArgumentError
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.propagation.lrp import LRPEpsilonPlus
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.testing.zoo import CASES

CASE, TWO, CNN, TOKENS = (CASES[name]() for name in ("mlp", "two_inputs", "cnn", "tokens"))


@pytest.fixture(scope="module")
def explained():
    return IntegratedGradients(CASE.model, n_steps=6, baseline_fn="mean").explain(CASE.inputs, CASE.targets)


@pytest.mark.parametrize(
    "targets",
    [[0, 1, 2], torch.tensor([0, 1, 2]), np.array([0, 1, 2]), [(0,), (1,), (2,)], 2, np.int64(2), (2,), None],
    ids=lambda t: f"{type(t).__name__} {t}",
)
def test_read_again_it_is_equal(tmp_path, targets):
    explained = IntegratedGradients(TWO.model, n_steps=3).explain(TWO.inputs, targets)
    assert Explanation.load(explained.save(tmp_path / "a" / "folder")) == explained


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gradient(TOKENS.model).explain(TOKENS.inputs, 1),
        lambda: LRPEpsilonPlus(CNN.model, layer=["0", CNN.model[3]][:1]).explain(CNN.inputs, 1),
        lambda: Gradient(CNN.model).explain(CNN.inputs.contiguous(memory_format=torch.channels_last), 1),
        lambda: Gradient(CNN.model).explain(CNN.inputs[:1].expand(3, -1, -1, -1), 1),
        lambda: Gradient(CNN.model).explain(CNN.inputs, 1).to(dtype=torch.bfloat16),
        lambda: Gradient(CNN.model).explain(CNN.inputs, 1)[1],
    ],
    ids=["ids", "sinks", "channels last", "expanded", "bfloat16", "one"],
)
def test_whatever_it_holds(tmp_path, make):
    explained = make()
    assert Explanation.load(explained.save(tmp_path)) == explained


def test_a_function_is_written_by_its_name(tmp_path):
    def second(output):
        return output[:, 1]

    explained = Gradient(CASE.model).explain(CASE.inputs, second)
    loaded = Explanation.load(explained.save(tmp_path))
    assert loaded.targets.endswith("test_a_function_is_written_by_its_name.<locals>.second")
    assert torch.equal(loaded.scores, explained.scores)


def test_files_are_plain(explained, tmp_path):
    folder = explained.save(tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == ["explanation.json", "tensors.safetensors"]
    assert json.loads((folder / "explanation.json").read_text())["explainer"] == "IntegratedGradients"
    assert torch.equal(load_file(folder / "tensors.safetensors")["scores"], explained.scores)
    explained.save(tmp_path)  # again, over the old files


def test_a_failed_write_leaves_the_old_file(explained, tmp_path):
    explained.save(tmp_path)
    with pytest.raises(TypeError):
        dataclasses.replace(explained, settings={"x": {1, 2}}).save(tmp_path)
    assert Explanation.load(tmp_path) == explained


def _without_scores(folder):
    tensors = load_file(folder / "tensors.safetensors")
    del tensors["scores"]
    save_file(tensors, folder / "tensors.safetensors")


def _one_bit(path):
    content = bytearray(path.read_bytes())
    content[-60] ^= 1
    path.write_bytes(content)


def _other_facts(folder, facts):
    (folder / "explanation.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "explanation.json").unlink(), "holds no explanation.json"),
        (lambda folder: (folder / "tensors.safetensors").unlink(), "holds no tensors.safetensors"),
        (lambda folder: (folder / "explanation.json").write_text("{"), "is damaged, or holds no JSON"),
        (lambda folder: (folder / "explanation.json").write_bytes(b"\xff\xfe"), "is damaged, or holds no JSON"),
        (lambda folder: (folder / "tensors.safetensors").write_bytes(b"123"), "holds a damaged explanation"),
        (
            lambda folder: (folder / "tensors.safetensors").write_bytes(
                (folder / "tensors.safetensors").read_bytes()[:-5]
            ),
            "holds a damaged explanation",
        ),
        (_without_scores, "tensors.safetensors is not as it was written"),
        (lambda folder: _one_bit(folder / "explanation.json"), "is not as it was written"),
        (lambda folder: _one_bit(folder / "tensors.safetensors"), "is not as it was written"),
        (lambda folder: _other_facts(folder, [1]), "holds another explanation.json than save writes"),
        (lambda folder: _other_facts(folder, {"explainer": "x"}), r"holds other parts than an explanation has"),
        (
            lambda folder: _other_facts(folder, {"x": {"pickle": "y"}}),
            "holds another explanation.json than save writes",
        ),
    ],
)
def test_damage_is_told(explained, tmp_path, harm, message):
    harm(explained.save(tmp_path))
    with pytest.raises(ArgumentError, match=message):
        Explanation.load(tmp_path)
