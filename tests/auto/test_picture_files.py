"""Picture files as data: any mode and depth beside any other, a file, a folder or a pattern, names on what is drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pnpxai
from pnpxai.auto.picture_files import PictureFiles, picture_paths
from pnpxai.errors import ArgumentError
from tests.on_demand import OnDemand

transforms = OnDemand("torchvision.transforms")
RAMP = np.linspace(0, 255, 256).round().astype(np.uint8).reshape(16, 16)
GREY = torch.as_tensor(RAMP)[None] / 255
RGB = Image.merge("RGB", [Image.fromarray(layer) for layer in (RAMP, RAMP.T.copy(), 255 - RAMP)])
COLOUR = torch.as_tensor(np.array(RGB)).movedim(-1, 0) / 255
TURNED = Image.Exif()
TURNED[0x0112] = 6
KINDS = {
    "grey.png": (Image.fromarray(RAMP), {}, GREY),
    "deep.png": (Image.fromarray(RAMP.astype(np.uint16) * 257), {}, GREY),
    "deep.tif": (Image.fromarray(RAMP.astype(np.uint16) * 257), {}, GREY),
    "float.tif": (Image.fromarray((RAMP / 255).astype(np.float32)), {}, GREY),
    "bytes_as_float.tif": (Image.fromarray(RAMP.astype(np.float32)), {}, GREY),
    "grey_alpha.png": (Image.merge("LA", (Image.fromarray(RAMP), Image.fromarray(255 - RAMP))), {}, GREY),
    "rgb.png": (RGB, {}, COLOUR),
    "rgba.png": (Image.merge("RGBA", (*RGB.split(), Image.fromarray(RAMP))), {}, COLOUR),
    "turned.png": (RGB, {"exif": TURNED}, COLOUR.transpose(1, 2).flip(2)),
    "turned_deep.png": (Image.fromarray(RAMP.astype(np.uint16) * 257), {"exif": TURNED}, GREY.transpose(1, 2).flip(2)),
    "palette.gif": (RGB.quantize(256), {}, None),
    "cmyk.jpg": (RGB.convert("CMYK"), {"quality": 100}, None),
}


def net(channels=3):
    torch.manual_seed(0)
    layers = nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    return nn.Sequential(*layers).eval()


@pytest.fixture
def folder(tmp_path):
    for name, (picture, how, _) in KINDS.items():
        picture.save(tmp_path / name, **how)
    return tmp_path


def by_pil(path, mode):
    with Image.open(path) as picture:
        values = np.array(picture.convert(mode)).reshape(16, 16, -1)
    return torch.as_tensor(values).movedim(-1, 0) / 255


@pytest.mark.parametrize("pair", list(itertools.combinations(KINDS, 2)), ids="+".join)
def test_each_kind_is_right_beside_each_other(folder, pair):
    files = PictureFiles([folder / name for name in pair], folder)
    for name, values in zip(pair, files, strict=True):
        right = KINDS[name][2]
        right = by_pil(folder / name, "RGB") if right is None else right
        torch.testing.assert_close(values, right.expand(len(values), 16, 16), atol=1e-6, rtol=0)


def test_the_model_says_how_many_channels(folder):
    grey = pnpxai.auto_explain(net(), folder / "grey.png")
    assert grey.explain("Gradient").inputs[0].shape == (1, 3, 16, 16)
    colour = pnpxai.auto_explain(net(1), str(folder / "rgb.png"))
    torch.testing.assert_close(colour.explain("Gradient").inputs[0], by_pil(folder / "rgb.png", "L")[None])


def test_files_as_data(folder):
    one, pattern, several = folder / "rgb.png", str(folder / "rgb*.png"), [folder / "grey.png", str(folder / "rgb.png")]
    for data, names in (
        (one, ["rgb.png"]),
        (str(one), ["rgb.png"]),
        (folder, sorted(KINDS)),
        (str(folder), sorted(KINDS)),
        (pattern, ["rgb.png", "rgba.png"]),
        (several, ["grey.png", "rgb.png"]),
    ):
        explanation = pnpxai.auto_explain(net(), data).explain("Gradient", count=100)
        assert list(explanation.views[0].sources) == names
    assert picture_paths("a text about cat.jpg") is None
    assert picture_paths(["a text", "another"]) is None
    with pytest.raises(ArgumentError, match=r"data: .*none.jpg is no picture file"):
        pnpxai.auto_explain(net(), folder / "none.jpg")


def test_the_transform_of_the_weights_scales_files(folder):
    steps = transforms.Compose(
        [transforms.Resize(8), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
    )
    explanation = pnpxai.auto_explain(net(), folder / "rgb.png", display=steps).explain("Gradient")
    torch.testing.assert_close(explanation.inputs[0][0], steps(Image.open(folder / "rgb.png")))
    display = explanation.views[0].display
    assert display is not None
    assert display.mean == (0.5, 0.5, 0.5)


def test_what_is_drawn_has_the_names_of_files_and_of_the_explainer_and_says_what_is_left_out(folder, tmp_path):
    explanation = pnpxai.auto_explain(net(), folder).explain("Gradient", count=100)
    figure = explanation.plot(limit=4)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0:8:2] == sorted(KINDS)[:4]
    assert figure.get_suptitle() == f"Gradient, 4 of {len(KINDS)} examples: limit={len(KINDS)} draws all"
    assert explanation[2:3].plot().get_suptitle() == "Gradient"
    assert explanation[2:3].plot().axes[0].get_title() == sorted(KINDS)[2]
    assert figure._repr_png_().startswith(b"\x89PNG")
    again = pnpxai.Explanation.load(explanation.save(tmp_path / "saved"))
    assert again.views[0].sources == explanation.views[0].sources
    assert f"6 of {len(KINDS)} examples" in explanation._repr_html_()


def test_numbers_without_a_known_white_are_left_out_by_name(tmp_path):
    Image.fromarray(np.full((4, 4), -3.0, np.float32)).save(tmp_path / "heights.tif")
    RGB.save(tmp_path / "rgb.png")
    auto = pnpxai.auto_explain(net(), tmp_path / "rgb.png")
    assert auto.left_out == ()
    with pytest.raises(ArgumentError, match=r"heights.tif holds numbers from -3 to -3"):
        pnpxai.auto_explain(net(), tmp_path / "heights.tif").explain("Gradient")


def test_a_clip_of_one_keeps_the_largest_value_as_scale():
    maps = torch.zeros(1, 1, 32, 32)
    maps[0, 0, 0, 0], maps[0, 0, 1] = 1000.0, 1.0
    explanation = pnpxai.explainers.Gradient(nn.Sequential(nn.Flatten(), nn.Linear(1024, 2))).explain(
        torch.rand(maps.shape)
    )
    explanation = explanation.__class__(**vars(explanation) | {"attributions": (maps,)})
    clipped, whole = (
        np.asarray(explanation.plot(clip=clip).axes[1].images[0].get_array(), dtype=int)[1, 5, :3]
        for clip in (0.99, 1.0)
    )
    assert np.ptp(clipped) > 100
    assert np.ptp(whole) < 20
    with pytest.raises(ArgumentError, match="clip: expected a share above 0 and at most 1"):
        explanation.plot(clip=0)


def test_the_report_has_the_names_of_files(folder, tmp_path):
    auto = pnpxai.auto_explain(net(), [folder / "rgb.png", folder / "grey.png"])
    results = auto.compare(["Gradient"], ["Sensitivity"], show_progress=False, controls=False)
    page = pnpxai.write_report(results, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "#0 · rgb.png" in page
    assert "#1 · grey.png" in page
