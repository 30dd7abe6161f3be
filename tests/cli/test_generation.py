"""What a language model in a local folder writes, explained on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import pnpxai
from tests.language.models import model, tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "small"
    model("Llama").save_pretrained(place)
    tokenizer().save_pretrained(place)
    (place / "prompt.txt").write_text("the cat is red .\n")
    data = {"question": "what is red ?", "sources": ["the cat is red .", "the sea is blue ."]}
    (place / "sources.json").write_text(json.dumps(data))
    return place


def test_a_response_is_explained_and_drawn(run, folder):
    ran = run("explain", folder, "--prompt", folder / "prompt.txt", "--response", " it is red", "--json")
    assert ran.exit_code == 0, ran.stderr
    found = json.loads(ran.stdout)["ShapleyValues"]
    loaded = pnpxai.ResponseExplanation.load(found["values"])
    auto = pnpxai.AutoExplanationForGeneration(
        model("Llama"), tokenizer(), "the cat is red .", " it is red", response_units="word"
    )
    torch.testing.assert_close(loaded.values, auto.explain("ShapleyValues").values)
    assert "pnx-unit" in Path(found["picture"]).read_text()


def test_sources_are_read_and_the_method_may_have_settings(run, folder):
    ran = run(
        "explain", folder, "--prompt", folder / "sources.json", "-e", "{ContextCite: {n_samples: 16}}", "-e", "AttnLRP",
        "--max-tokens", 3, "--json",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert set(found) == {"ContextCite", "AttnLRP"}
    assert pnpxai.ResponseExplanation.load(found["AttnLRP"]["values"]).units == ("source 1", "source 2")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("nowhere", "--prompt", "prompt.txt"), "config.json"),
        ((".", "--prompt", "absent.txt"), "absent.txt cannot be read"),
        ((".", "--prompt", "prompt.txt", "-e", "AtnLRP"), "AttnLRP"),
        ((".", "--prompt", "prompt.txt", "--units", "words"), "units"),
        ((".", "x.npy", "--prompt", "prompt.txt"), "leave one of the two out"),
    ],
)
def test_wrong_calls_say_what_was_expected(run, folder, monkeypatch, given, message):
    monkeypatch.chdir(folder)
    ran = run("explain", *given)
    assert ran.exit_code == 2
    assert message in " ".join((ran.stderr + ran.stdout).split())
    assert "Traceback" not in ran.stderr
