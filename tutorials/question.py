# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Where did it look, and which words told it to?
#
# A picture shows four coloured squares. A question asks for the colour of one of them. The answer needs both, so an
# explanation must speak of both: of the square, and of the words that say which one it is.

# %%
from pathlib import Path

import torch
from torch import nn

import pnpxai
from pnpxai.strategies.postprocessing import PostProcessor

WORDS = ["[mask]", "which", "colour", "has", "the", "upper", "lower", "left", "right", "square"]
COLOURS = ["red", "green", "blue"]


class Tokens:
    """The least that a tokenizer has to know."""

    mask_token_id = 0

    def convert_ids_to_tokens(self, ids):
        return [WORDS[k] for k in ids]


def ask(count, seed):
    """Return pictures (count, 3, 16, 16), questions (count, 7), answers, and where the evidence is in both."""
    draw = torch.Generator().manual_seed(seed)
    colours, asked = torch.randint(3, (count, 4), generator=draw), torch.randint(4, (count,), generator=draw)
    pictures = 0.1 * torch.rand(count, 3, 16, 16, generator=draw)
    questions = torch.tensor([1, 2, 3, 4, 0, 0, 9]).repeat(count, 1)
    questions[:, 4], questions[:, 5] = 5 + asked // 2, 7 + asked % 2
    here = torch.zeros(count, 16, 16, dtype=torch.bool)
    for k in range(count):
        for square in range(4):
            top, left = 8 * (square // 2) + 2, 8 * (square % 2) + 2
            pictures[k, colours[k, square], top : top + 4, left : left + 4] += 0.9
            here[k, top : top + 4, left : left + 4] |= square == asked[k]
    told = (questions >= 5) & (questions <= 8)
    return pictures, questions, colours[range(count), asked], here, told


class Answerer(nn.Module):
    """What the question asks for, times what the picture shows."""

    def __init__(self):
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(256, 96), nn.ReLU()
        )
        self.words = nn.Embedding(len(WORDS), 16)
        self.read = nn.Sequential(nn.Flatten(), nn.Linear(7 * 16, 96), nn.ReLU())
        self.answer = nn.Linear(96, 3)

    def forward(self, picture, question):
        return self.answer(self.see(picture) * self.read(self.words(question)))


torch.manual_seed(0)
model = Answerer()
pictures, questions, answers, *_ = ask(4000, seed=1)
optimizer = torch.optim.Adam(model.parameters(), 4e-3)
for _ in range(600):
    rows = torch.randint(4000, (64,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(pictures[rows], questions[rows]), answers[rows]).backward()
    optimizer.step()
model.eval()
pictures, questions, answers, here, told = ask(40, seed=2)
print(f"{(model(pictures, questions).argmax(1) == answers).float().mean():.1%} of new questions are answered right")

# %% [markdown]
# ## Explain
#
# Picture and question are explained together, each compared with an absence of its own: black, and the mask token.

# %%
auto = pnpxai.AutoExplanationForVisualQuestionAnswering(
    model, ((pictures, questions), answers), tokenizer=Tokens(), display=(0.0, 1.0), class_names=COLOURS
)
print(auto)
print(auto.recommended)
explanation = auto.explain("GradientXInput", count=40)
explanation.plot(limit=3, style="over").savefig("picture.png", dpi=120)
explanation.plot(limit=3, member=1).savefig("question.png", dpi=120)

# %% [markdown]
# ## Was it found?
#
# Of as many pixels as the square has, and as many words as tell which, those with the largest attributions: how many
# are these?


# %%
def found(maps, truth):
    """Return the share of the places with the largest values that hold the evidence."""
    count = int(truth.flatten(1)[0].sum())
    best = maps.flatten(1).argsort(1, descending=True)[:, :count]
    return float(truth.flatten(1).gather(1, best).float().mean())


draw = torch.Generator().manual_seed(0)
maps_of_both = PostProcessor.on(auto.traits)(explanation.attributions)
for maps, truth, what in zip(maps_of_both, (here, told), ("picture", "question"), strict=True):
    random = found(torch.rand(maps.shape, generator=draw), truth)
    print(f"{what}: rank accuracy {found(maps, truth):.2f}, of a random map {random:.2f}")
print(f"written: {Path('picture.png')}, {Path('question.png')}")
