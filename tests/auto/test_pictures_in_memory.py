"""Pictures that are no files, in any mode and order of axes; and inputs that a model does not take."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pnpxai
from pnpxai.auto.conversion import as_pictures
from pnpxai.errors import ArgumentError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint8)
PICTURE = Image.fromarray(PIXELS)
EXPECTED = torch.from_numpy(PIXELS).permute(2, 0, 1).float() / 255


def net(channels=3):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


class LastState(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.gru(x)[0][:, -1])


def read(data, channels=3, **facts):
    return pnpxai.auto_explain(net(channels).eval(), data, **facts).explain("Gradient").inputs[0]


def file_bytes():
    buffer = io.BytesIO()
    PICTURE.save(buffer, format="png")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        PICTURE,
        PICTURE.convert("RGBA"),
        PIXELS,
        PIXELS[None],
        PIXELS.transpose(2, 0, 1),
        PIXELS[None].astype(np.uint16) * 257,
        file_bytes(),
        io.BytesIO(file_bytes()),
    ],
    ids=["picture", "transparent", "array", "batch", "channels first", "16 bits", "bytes", "open file"],
)
def test_a_picture_is_read_as_its_colours(data):
    torch.testing.assert_close(read(data), EXPECTED[None])


@pytest.mark.parametrize("mode", ["I;16", "F", "L"])
def test_grey_pictures_of_any_depth_are_repeated_for_a_model_of_colours(mode):
    grey = np.asarray(PICTURE.convert("L"))
    deep = {"I;16": grey.astype(np.uint16) * 257, "F": grey.astype(np.float32) / 255, "L": grey}[mode]
    values = read([Image.fromarray(deep)])
    assert Image.fromarray(deep).mode == mode
    torch.testing.assert_close(values, torch.from_numpy(grey / 255.0).float().expand(1, 3, -1, -1))


def test_a_picture_is_turned_upright():
    picture = PICTURE.copy()
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    buffer = io.BytesIO()
    picture.save(buffer, format="png", exif=exif)
    torch.testing.assert_close(read(Image.open(buffer)), EXPECTED.rot90(-1, (1, 2))[None])


def test_a_transform_of_training_is_applied():
    transforms = pytest.importorskip("torchvision.transforms")
    steps = transforms.Compose(
        [transforms.Resize((4, 4)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [2.0] * 3)]
    )
    torch.testing.assert_close(read([PICTURE], display=steps), steps(PICTURE)[None])


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((5, 8, 9, 3), 3, (5, 3, 8, 9)),
        ((5, 8, 9, 4), 3, (5, 3, 8, 9)),
        ((5, 8, 9), 1, (5, 1, 8, 9)),
        ((5, 8, 9), 3, (5, 3, 8, 9)),
        ((8, 9), 1, (1, 1, 8, 9)),
        ((8, 9, 3), 3, (1, 3, 8, 9)),
        ((5, 7, 8, 9), 7, (5, 7, 8, 9)),
        ((5, 8, 9, 7), 7, (5, 7, 8, 9)),
        ((5, 9), None, None),
        ((2, 3, 4, 5, 6), 3, None),
    ],
)
def test_whole_numbers_become_batches_of_pictures(shape, channels, expected):
    pictures = as_pictures(torch.zeros(shape, dtype=torch.uint8), channels)
    assert (None if pictures is None else tuple(pictures.shape)) == expected


@pytest.mark.parametrize(
    ("model", "data", "mentions"),
    [
        (net(), torch.rand(3, 12, 10), r"examples, 3 channels, height, width\), got \(3, 12, 10\); .*data\[None\]"),
        (net(), torch.rand(2, 12, 10, 3), r"its channels stand last: data.movedim\(-1, 1\)"),
        (net(), torch.rand(2, 4, 12, 10), "its second axis has 4 channels"),
        (net(), torch.rand(2, 3, 12, 10).double(), "expected numbers of torch.float32, .* got torch.float64"),
        (net(), torch.zeros(2, 3, 12, 10, dtype=torch.uint8), r"data.to\(torch.float32\) / 255"),
        (nn.Linear(5, 2), torch.rand(5), r"expected \(examples, 5 numbers\), got \(5,\); .*data\[None\]"),
        (nn.Linear(5, 2), torch.rand(4, 6), r"expected rows of 5 numbers, got \(4, 6\)"),
        (LastState(), torch.rand(7, 3), r"expected \(examples, time, 3 channels\), got \(7, 3\)"),
        (net(), "photo.png", "photo.png names no file"),
        (net(), "http://example.com/photo.png", "is an address, not a file"),
        (net(), b"no picture", "bytes is no picture that can be read"),
    ],
)  # fmt: skip
def test_what_a_model_does_not_take_is_told_apart(model, data, mentions):
    with pytest.raises(ArgumentError, match=mentions):
        pnpxai.auto_explain(model.eval(), data).explain("Gradient")


def test_an_error_that_has_another_cause_is_the_models_own():
    class Broken(nn.Linear):
        def forward(self, x):
            raise RuntimeError("nothing is plugged in")

    with pytest.raises(RuntimeError, match="nothing is plugged in"):
        pnpxai.auto_explain(Broken(5, 2), torch.rand(3, 5)).explain("Gradient")
