"""Pictures reach the model as they did in training: predictions are those of Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pnpxai.auto.picture_files import PictureFiles, picture_paths
from pnpxai.cli.objects import auto
from pnpxai.cli.options import OnData
from pnpxai.cli.pictures import picture_dataset
from pnpxai.errors import ArgumentError
from tests.on_demand import OnDemand

transforms = OnDemand("torchvision.transforms")
NET = """
import torch
from torch import nn
from torchvision import transforms

torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 5)).eval()
transform = transforms.Compose([
    transforms.Resize(18, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(16), transforms.ToTensor(),
    transforms.Normalize((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)),
])
"""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delitem(sys.modules, "net_of_pictures", raising=False)
    rng = np.random.default_rng(0)
    Path("net_of_pictures.py").write_text(NET)
    for k, name in enumerate(["b", "a", "b", "c"]):
        Path("shots", name).mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (24 + k, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(f"shots/{name}/{k}.png")
    return tmp_path


def _asked(**options: Any) -> OnData:
    return OnData.model_validate({"model": "net_of_pictures.py", "data": "shots"} | options)


def _pictures(folder: str | Path, options: OnData, *class_names: Any) -> PictureFiles:
    paths = picture_paths(Path(folder))
    assert paths is not None
    return picture_dataset(*paths, options, *class_names)


def _by_hand(*steps: Callable[[Any], Any]) -> torch.Tensor:
    of = transforms.Compose(list(steps))
    paths = sorted(Path("shots").rglob("*.png"))
    return torch.stack([of(Image.open(path).convert("RGB")) for path in paths])


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"size": 16}, lambda: [transforms.Resize((16, 16)), transforms.ToTensor()]),
        ({"size": "12x20"}, lambda: [transforms.Resize((12, 20)), transforms.ToTensor()]),
        (
            {"resize": 18, "size": [16, 16], "mean": "imagenet"},
            lambda: [
                transforms.Resize(18),
                transforms.CenterCrop(16),
                transforms.ToTensor(),
                transforms.Normalize(*IMAGENET),
            ],
        ),
        (
            {"size": 16, "mean": "0.5", "std": "0.2,0.3,0.4"},
            lambda: [transforms.Resize((16, 16)), transforms.ToTensor(), transforms.Normalize(0.5, (0.2, 0.3, 0.4))],
        ),
        ({"transform": "net_of_pictures.py:transform"}, None),
    ],
)
def test_predictions_equal_those_of_the_training_transform(
    place: Path, options: dict[str, Any], steps: Callable[[], list[Any]] | None
) -> None:
    on = auto(_asked(**options))
    if steps is None:
        import net_of_pictures  # pyright: ignore[reportMissingImports]

        values = _by_hand(net_of_pictures.transform)
    else:
        values = _by_hand(*steps())
    inputs = torch.cat([batch.inputs for batch in on.examples()])
    assert torch.allclose(inputs, values, atol=1e-6)
    model: nn.Module = on.model
    with torch.no_grad():
        scores = model(values)
    explained = on.explain("Gradient", count=4)
    assert torch.allclose(explained.scores, scores.max(1).values, atol=1e-5)
    assert torch.equal(torch.as_tensor(explained.targets), scores.argmax(1))
    shown = explained.views[0].display
    if shown is not None:  # drawn as they were before they were normalised
        drawn = shown.undo(inputs[0].numpy())
        assert drawn.min() >= 0
        assert np.allclose(shown.apply(torch.as_tensor(drawn)[None])[0].float(), inputs[0], atol=1e-5)


def test_folders_are_classes_numbered_by_name_or_as_the_model_has_them(place: Path) -> None:
    asked = _asked(size=8)
    assert _pictures("shots", asked).labels == [0, 1, 1, 2]
    assert _pictures("shots", asked, ("c", "x", "b", "a")).labels == [3, 2, 2, 0]
    assert _pictures("shots/b", asked).labels is None
    with pytest.raises(ArgumentError, match="class_names: the folder 'b' is none of them"):
        _pictures("shots", asked, ("a", "c"))


def test_kinds_of_files(tmp_path: Path) -> None:
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    asked = OnData.model_validate({})

    def read(picture: Image.Image, name: str, **how: Any) -> torch.Tensor:
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        picture.save(folder / name, **how)
        (values,) = list(_pictures(folder, asked))
        return values

    grey = torch.as_tensor(ramp)[None] / 255
    assert torch.equal(read(Image.fromarray(ramp), "grey.png"), grey)
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    assert torch.allclose(read(deep, "deep.png"), grey)
    clear = Image.merge("LA", (Image.fromarray(ramp), Image.fromarray(ramp)))
    assert torch.equal(read(clear, "clear.png"), grey)
    colours = Image.merge("RGB", [Image.fromarray(layer) for layer in (ramp, ramp.T.copy(), 255 - ramp)])
    values = torch.as_tensor(np.array(colours)).movedim(-1, 0) / 255
    assert torch.equal(read(colours, "colours.bmp"), values)
    assert torch.equal(read(colours.convert("RGBA"), "alpha.png"), values)
    assert read(colours.convert("CMYK"), "printed.tif").shape == (3, 8, 8)
    assert read(colours.quantize(16), "palette.gif").shape == (3, 8, 8)
    turned = Image.Exif()
    turned[0x0112] = 6  # taken with the camera on its side
    assert torch.equal(read(colours, "turned.png", exif=turned), values.transpose(1, 2).flip(2))


def test_grey_ones_among_coloured_ones_get_colours(place: Path) -> None:
    Image.fromarray(np.full((24, 30), 51, np.uint8)).save("shots/a/grey.png")
    found = _pictures("shots", _asked(size=8))
    assert {tuple(found[k][0].shape) for k in range(len(found))} == {(3, 8, 8)}
    grey = found[found.paths.index(Path("shots/a/grey.png"))][0]
    assert torch.allclose(grey, torch.full((3, 8, 8), 0.2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean": 0.5}, "mean: expected numbers beside --std"),
        ({"std": 0.5}, "mean: expected numbers beside --std"),
        ({"mean": "imagenet", "std": 0.5}, "imagenet alone for both"),
        ({"mean": 0.5, "std": 0}, "std: expected numbers other than 0"),
        ({"mean": [0.1, 0.2], "std": 1, "size": 8}, "mean: 2 numbers for pictures of 3 channels"),
        ({"size": 8, "transform": "net_of_pictures.py:transform"}, "size: the transform makes tensors of pictures"),
        ({"transform": "net_of_pictures.py:IMAGE"}, "transform: net_of_pictures has no 'IMAGE'"),
        ({}, "others have .*; scale them with --size"),
    ],
)
def test_what_cannot_be(place: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        auto(_asked(**options)).examples()


@pytest.mark.parametrize("cut", [True, False], ids=["cut off", "text"])
def test_a_broken_file_is_left_out_and_named(place: Path, cut: bool) -> None:
    whole = Path("shots/a/1.png").read_bytes()
    Path("shots/a/1.png").write_bytes(whole[: len(whole) // 2] if cut else b"no picture")
    on = auto(_asked(size=8))
    labels = torch.cat([torch.as_tensor(batch.labels) for batch in on.examples()])
    assert labels.tolist() == [1, 1, 2]  # the others stay what they were
    (line,) = on.left_out
    assert line.startswith("shots/a/1.png is no picture that can be read")
    assert any("shots/a/1.png" in assumed for assumed in on.assumed)
    with pytest.raises(ArgumentError, match=r"shots/a/1.png is no picture that can be read"):
        auto(_asked(size=8, data="shots/a"))


def test_a_model_by_name_has_its_own_scaling_and_classes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import resnet18

    monkeypatch.setenv("TORCH_HOME", str(place))
    torch.manual_seed(0)
    net = resnet18().eval()
    torch.save(net.state_dict(), "weights.pth")
    picture = Image.open("shots/a/1.png").convert("RGB").resize((300, 260))
    picture.save("cat.jpg", quality=100)
    options = {"model": "resnet18", "data": "cat.jpg"}
    with pytest.raises(ArgumentError, match=r"model: the weights of resnet18 are not on this machine .*--weights"):
        auto(OnData.model_validate(options))
    on = auto(OnData.model_validate(options | {"weights": "weights.pth"}))
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(*IMAGENET)]
    values = transforms.Compose(steps)(Image.open("cat.jpg"))[None]
    explained = on.explain("Gradient")
    assert torch.allclose(explained.inputs[0], values, atol=0.02)
    assert on.class_names[281] == "tabby"
    assert explained.views[0].sources == ("cat.jpg",)
    scaled = auto(OnData.model_validate(options | {"weights": "weights.pth", "size": 64}))
    assert scaled.explain("Gradient").inputs[0].shape == (1, 3, 64, 64)
    with pytest.raises(ArgumentError, match=r"got 'resnet81', which .* did you mean 'resnet18'"):
        auto(OnData.model_validate(options | {"model": "resnet81"}))


def test_pictures_are_explained_at_a_glance_each_in_one_file(place: Path, run: Callable[..., Any]) -> None:
    ran = run("explain", "net_of_pictures.py", "shots/*/*.png", "--transform", "net_of_pictures.py:transform", "--json")
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert len(told) == 4
    assert len({one["picture"] for one in told}) == 4
    assert all(Path(one["picture"]).stat().st_size > 10_000 for one in told)
    assert [len(one["explainers"]) for one in told] == [5] * 4
    assert {one["name"] for one in told} == {"b/0.png", "a/1.png", "b/2.png", "c/3.png"}
    quick = run("explain", "net_of_pictures.py", "shots/a", "--size", 16, "--quick", "--out", "quick")
    assert quick.exit_code == 0, quick.stderr
    assert "Picture: quick/1.png" in quick.stdout
    assert "faithfulness" in quick.stdout
