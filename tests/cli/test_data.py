"""Models and data as they are named: each reaches the model as it would in Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pnpxai.cli.data import load_data
from pnpxai.cli.models import load_model
from pnpxai.cli.objects import auto
from pnpxai.cli.options import OnData
from pnpxai.errors import ArgumentError
from pnpxai.tensors import flat

NETS = """
import torch
from torch import nn

WORDS = "good bad film plot".split()


class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.layer = nn.Linear(width, 2)

    def forward(self, x):
        return self.layer(x)


class Two(nn.Module):
    def forward(self, first, second):
        return first * 2 + second


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, input_ids):
        return self.head(self.embedding(input_ids).mean(1))


def tokenizer(texts, **options):
    rows = [[WORDS.index(word) + 1 for word in text.split()] for text in texts]
    return {"input_ids": torch.tensor([row + [0] * (3 - len(row)) for row in rows])}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delitem(sys.modules, "nets_of_data", raising=False)
    Path("nets_of_data.py").write_text(NETS)
    return tmp_path


def _asked(model: str, data: str | list[str], **options: Any) -> OnData:
    return OnData.model_validate({"model": f"nets_of_data.py:{model}", "data": data} | options)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors", "checkpoint.pth"])
def test_weights_are_read_beside_a_class(place: Path, name: str) -> None:
    state = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.tensor([1.0, 2.0])}
    if name.endswith("safetensors"):
        save_file(state, name)
    else:
        torch.save({"epoch": 3, "state_dict": state} if name.startswith("c") else state, name)
    model = load_model("nets_of_data.py:Net", name)
    assert torch.equal(model(torch.ones(1, 3)), torch.tensor([[4.0, 14.0]]))


def test_weights_that_run_code_or_do_not_fit_are_refused(place: Path) -> None:
    model = load_model("nets_of_data.py:Net")
    torch.save(model, "whole.pt")
    torch.save({"layer.weight": torch.zeros(2, 4)}, "other.pt")
    Path("broken.safetensors").write_bytes(b"no tensors")
    for name, words in {
        "whole.pt": "holds more than tensors",
        "other.pt": "does not fit Net: Missing key.* in state_dict: .*layer.bias",
        "broken.safetensors": "is no file of tensors",
        "missing.pt": "no file missing.pt",
    }.items():
        with pytest.raises(ArgumentError, match=f"weights: .*{words}"):
            load_model("nets_of_data.py:Net", name)
    with pytest.raises(ArgumentError, match="model: whole.pt holds weights, or a pickle .* net.py:Net --weights"):
        load_model("whole.pt")
    with pytest.raises(ArgumentError, match="device: 'gpu' cannot be used"):
        load_model("nets_of_data.py:Net", device="gpu")


def test_columns_are_chosen_in_the_order_asked_for(place: Path) -> None:
    frame = pd.DataFrame({"id": [7, 8], "a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0], "kind": ["x", "w"]})
    frame.to_csv("rows.csv", index=False)
    on = auto(_asked("Net", "rows.csv", inputs=["c", "a", "b"], label="kind"))
    (batch,) = on.examples()
    assert torch.equal(batch.inputs, torch.tensor([[5.0, 1.0, 3.0], [6.0, 2.0, 4.0]]))
    assert batch.labels is not None
    assert batch.labels.tolist() == [1, 0]
    assert on.explain("Gradient").views[0].names == ("c", "a", "b")  # pyright: ignore[reportAttributeAccessIssue]
    Path("kinds.txt").write_text("x\ny\nw\n")
    (batch,) = auto(_asked("Net", "rows.csv", inputs=["c", "a", "b"], label="kind", class_names="kinds.txt")).examples()
    assert batch.labels is not None
    assert batch.labels.tolist() == [0, 2]
    with pytest.raises(ArgumentError, match="inputs: rows.csv has no 'd'"):
        load_data(_asked("Net", "rows.csv", inputs=["d"]))
    with pytest.raises(ArgumentError, match=r"rows of 3 numbers, got .*; rows.csv holds something else: see --input"):
        auto(_asked("Net", "rows.csv", inputs=["a", "b"]))
    frame.assign(a=[1.0, None]).to_csv("rows.csv", index=False)
    with pytest.raises(ArgumentError, match="rows.csv has gaps in column 'a'"):
        load_data(_asked("Net", "rows.csv", label="kind"))


def test_arrays_are_given_by_name_or_in_order(place: Path) -> None:
    first, second = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    np.savez("two.npz", second=second, first=first, extra=first, labels=[1, 0])
    for inputs in (["first", "second"], None):
        asked = _asked("Two", "two.npz", inputs=inputs, target=0, target_labels=False)
        (batch,) = auto(asked).examples()
        given = batch.inputs
        one, other = (given["first"], given["second"]) if isinstance(given, dict) else flat(given)
        assert torch.equal(one, torch.ones(2, 3))
        assert torch.equal(other, torch.zeros(2, 3))
        assert batch.labels is not None
        assert batch.labels.tolist() == [1, 0]


@pytest.mark.parametrize("name", ["texts.txt", "texts.csv"])
def test_texts_need_their_tokenizer(place: Path, name: str) -> None:
    Path("texts.txt").write_text("good film\nbad bad plot\n")
    pd.DataFrame({"text": ["good film", "bad bad plot"]}).to_csv("texts.csv", index=False)
    (batch,) = auto(_asked("Reader", name, tokenizer="nets_of_data.py:tokenizer")).examples()
    assert flat(batch.inputs)[0].tolist() == [[1, 3, 0], [2, 2, 4]]
    with pytest.raises(ArgumentError, match="tokenizer: texts need the model's; name it with --tokenizer"):
        auto(_asked("Reader", name))


def test_names_in_files(place: Path) -> None:
    np.save("x.npy", np.ones((2, 3), np.float32))
    Path("names.txt").write_text("age\nheight\n\nweight\n")
    Path("classes.txt").write_text("no\nyes\n")
    asked = _asked("Net", "x.npy", feature_names="names.txt", class_names="classes.txt")
    (view,) = auto(asked).explain("Gradient").views  # pyright: ignore[reportAttributeAccessIssue]
    assert (view.names, view.classes) == (("age", "height", "weight"), ("no", "yes"))
    with pytest.raises(ArgumentError, match="class_names: missing.txt cannot be read"):
        auto(_asked("Net", "x.npy", class_names="missing.txt"))


def test_pictures_may_be_several_as_a_shell_writes_a_pattern_out(place: Path) -> None:
    for name, level in (("b", 40), ("a", 250)):
        Image.new("L", (4, 4), level).save(f"{name}.png")
    np.save("x.npy", np.zeros((2, 3), dtype=np.float32))
    pictures = load_data(_asked("Net", ["b.png", "a.png"]))
    assert [round(float(picture.mean()) * 255) for picture in pictures] == [40, 250]
    with pytest.raises(ArgumentError, match="data: missing.png names no picture"):
        load_data(_asked("Net", ["b.png", "missing.png"]))
    with pytest.raises(ArgumentError, match="data: x.npy names no picture; of other data there is one file, got 2"):
        load_data(_asked("Net", ["x.npy", "b.png"]))
