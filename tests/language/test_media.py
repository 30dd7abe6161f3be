"""Pictures and sound beside a prompt: processors' chats, cells, what is held, what is drawn, what is refused."""

from __future__ import annotations

import pytest
import torch

import pnpxai
from pnpxai.attributors.language.media import media_of
from pnpxai.errors import ArgumentError
from tests.language.models import PLACEHOLDER, case, ids, model, tokenizer


def auto(name="Llava", text=" the cat is red .", **settings):
    return pnpxai.AutoExplanationForGeneration(
        model(name), tokenizer(), case(name).prompt(text), " it", grid=(2, 2), **settings
    )


class Processor:
    """What a processor of transformers does: writes a chat, and puts ids in the place of pictures."""

    def __init__(self):
        self.tokenizer = tokenizer()

    def apply_chat_template(self, chat, tokenize, add_generation_prompt, **_):
        text = ""
        for message in chat:
            text += f"<s>{message['role']} :"
            for part in message["content"]:
                text += part["text"] if part["type"] == "text" else "<mask>"
        text += "<s>assistant :"
        if not tokenize:
            return text
        before, after = map(ids, text.split("<mask>"))
        found = torch.cat([before, torch.full((4,), PLACEHOLDER), after])[None]
        picture = next(p["image"] for m in chat for p in m["content"] if p["type"] == "image")
        return {"input_ids": found, "attention_mask": torch.ones_like(found), "pixel_values": picture[None]}


def test_a_chat_with_a_picture_holds_marks_and_placeholders():
    picture = case("Llava").media["pixel_values"][0]
    said = [{"type": "image", "image": picture}, {"type": "text", "text": " user saw a cat"}]
    chat = [{"role": "user", "content": said}]
    made = pnpxai.AutoExplanationForGeneration(model("Llava"), Processor(), chat, " it", grid=(2, 2))
    (prompt,) = made.prompts
    assert [unit.name for unit in prompt.units] == ["user", "saw", "a", "cat"]
    assert [(t.role, prompt.text[slice(*t.span)]) for t in prompt.turns] == [("user", "user saw a cat")]
    assert prompt.names[4:] == tuple(f"picture 1 ({r}, {c})" for r in (1, 2) for c in (1, 2))
    held = prompt.ids[prompt.owner < 0].tolist()
    assert held == [2, *ids("user :").tolist(), *[PLACEHOLDER] * 4, 2, *ids("assistant :").tolist()]
    found = made.explain("LeaveOneOut")
    assert found.values.shape == (1, 8)
    assert len(made.explain("GradientXInput").values[0].unique()) == 8
    with pytest.raises(ArgumentError, match="processor"):
        pnpxai.AutoExplanationForGeneration(model("Llava"), tokenizer(), chat, " it")


def test_a_cell_that_the_model_cannot_see_has_nothing():
    """The model sees no pixel of the lower half if it is grey there already: an absent cell is no change."""
    made, prompt = model("Llava"), case("Llava").prompt(" the cat")
    prompt["pixel_values"] = prompt["pixel_values"].clone()
    prompt["pixel_values"][:, :, 4:] = 0.0
    prompt["pixel_values"][:, :, :4] -= prompt["pixel_values"][:, :, :4].mean((-2, -1), keepdim=True)
    for method in ("LeaveOneOut", "ShapleyValues", "IntegratedGradients"):
        found = pnpxai.AutoExplanationForGeneration(made, tokenizer(), prompt, " it", grid=(2, 2)).explain(method)
        assert float(found.values[0, 2:4].abs().min()) > 1e-4
        assert float(found.values[0, 4:].abs().max()) < 1e-5


def test_patches_sounds_and_several_pictures_have_their_cells():
    sizes = torch.tensor([[1, 4, 4], [1, 4, 8]])
    found = media_of({"pixel_values": torch.randn(48, 12), "image_grid_thw": sizes}, (2, 2), 2)
    assert found is not None
    assert [(g.rows, g.columns, g.first) for g in found.grids] == [(2, 2, 0), (2, 2, 4)]
    assert found.cells["pixel_values"].flatten().bincount().tolist() == [4, 4, 4, 4, 8, 8, 8, 8]
    none = found.shown(torch.zeros(1, 8, dtype=torch.bool))[0][0]
    torch.testing.assert_close(none[0], found.values["pixel_values"][:16].mean(0))
    torch.testing.assert_close(none[-1], found.values["pixel_values"][16:].mean(0))
    wave = media_of({"input_values": torch.randn(1, 10)}, (2, 2))
    assert wave is not None
    assert wave.names == tuple(f"sound 1 ({k})" for k in (1, 2, 3, 4))
    assert wave.shown(torch.tensor([[True, False, False, False]]))[0].count_nonzero() == 3
    assert media_of({"input_ids": torch.ones(1, 3)}, (2, 2)) is None


@pytest.mark.parametrize("name", ["Llava", "Whisper"])
def test_a_model_writes_with_its_picture_or_sound(name):
    of = case(name)
    made = pnpxai.AutoExplanationForGeneration(
        of.model, tokenizer(), of.prompt(" who saw"), generate={"max_new_tokens": 2}, grid=(1, 2)
    )
    prompt, found = of.with_media(ids(" who saw")), made.responses[0].ids
    for k, token in enumerate(found):
        assert int(of.logits(prompt, found[:k])[-1].argmax()) == int(token)


def test_cells_are_drawn_saved_and_printed(tmp_path, capsys):
    found = auto().explain("LeaveOneOut")
    page = found.to_html(tmp_path / "page.html").read_text()
    assert page.count("pnx-unit pnx-cell") == 4
    assert "url(data:image/png" in page
    assert pnpxai.ResponseExplanation.load(found.save(tmp_path / "found.json")).grids == found.grids
    found.show()
    shown = capsys.readouterr().out
    assert "<mask> \u00d74" in shown
    assert "picture 1 (2, 2)" in shown


def test_what_cannot_be_told_is_refused():
    prompt = case("Llava").prompt(" the cat")
    with pytest.raises(ArgumentError, match="tensors of one prompt"):
        pnpxai.AutoExplanationForGeneration(
            model("Llava"), tokenizer(), prompt | {"input_ids": prompt["input_ids"].repeat(2, 1)}, " it"
        )
    types = torch.arange(prompt["input_ids"].shape[1])[None]
    with pytest.raises(ArgumentError, match="token_type_ids has different numbers for the same id"):
        pnpxai.AutoExplanationForGeneration(model("Llava"), tokenizer(), prompt | {"token_type_ids": types}, " it")
    with pytest.raises(ArgumentError, match="grid: expected two numbers"):
        pnpxai.AutoExplanationForGeneration(model("Llava"), tokenizer(), prompt, " it", grid=(0, 1))
