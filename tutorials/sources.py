# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chat with sources: which document did the answer come from?
#
# A small language model, built here and trained in half a minute, answers questions about documents in its prompt. One
# document holds the fact that is asked for, so we know where every answer must come from. A model of transformers is
# used in the same way; this one shows the least that a model must have: `get_input_embeddings`, and a `forward` that
# takes `input_ids` or `inputs_embeds` and returns logits.

# %%
import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

import pnpxai

ANIMALS = "cat dog bird fish horse mouse".split()
COLOURS = "red blue green grey white".split()
WORDS = [*"the is what colour . ? user : assistant".split(), *ANIMALS, *COLOURS]
vocabulary = {w: k for k, w in enumerate(["<pad>", "<s>", "</s>", "\n", *WORDS, *(f"_{w}" for w in WORDS)])}
words = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
words.normalizer = normalizers.Replace(" ", "_")
words.pre_tokenizer = pre_tokenizers.Split(Regex(r"_?[a-z]+|_?[.?:]|\n"), "isolated")
words.decoder = decoders.Sequence([decoders.Replace("_", " "), decoders.Fuse()])
CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }} : {{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant :{% endif %}"
)
tokenizer: Any = PreTrainedTokenizerFast(
    tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", chat_template=CHAT
)


def facts(draw):
    """Return four documents, and a question with its answer for each, in order."""
    animals, colours = draw.sample(ANIMALS, 4), [draw.choice(COLOURS) for _ in range(4)]
    documents = [f"the {animal} is {colour} .\n" for animal, colour in zip(animals, colours, strict=True)]
    return documents, [(f"what colour is the {animal} ?", c) for animal, c in zip(animals, colours, strict=True)]


class Reader(nn.Module):
    """A language model: what stands just before each token, one layer of attention, one of neurons."""

    def __init__(self, size, width=64, reach=8):
        super().__init__()
        self.embed = nn.Embedding(size, width)
        self.before = nn.Conv1d(width, width, reach)
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.neurons = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 128), nn.GELU(), nn.Linear(128, width))
        self.write = nn.Linear(width, size)
        self.reach = reach

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids=None, inputs_embeds=None):
        h = self.embed(input_ids) if inputs_embeds is None else inputs_embeds
        h = h + self.before(nn.functional.pad(h.mT, (self.reach - 1, 0))).mT
        h = h + nn.functional.scaled_dot_product_attention(self.query(h), self.key(h), self.value(h), is_causal=True)
        return self.write(h + self.neurons(h))


def asked_chat(draw):
    """Return a chat, its answer, and the number of the document that holds it."""
    documents, asked = facts(draw)
    k = draw.randrange(4)
    content = pnpxai.Sources(asked[k][0], documents, text="{sources}{question}")
    return [{"role": "user", "content": content}], f" {asked[k][1]}", k


def text_of(chat):
    """Return a chat as the model reads it."""
    source = chat[0]["content"]
    messages = [{"role": "user", "content": "".join(source.documents) + source.question}]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


torch.manual_seed(0)
model, draw, steps = Reader(len(vocabulary)), random.Random(1), 900
optimizer = torch.optim.AdamW(model.parameters(), 4e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
for _ in range(steps):
    drawn = [asked_chat(draw) for _ in range(64)]
    ids = torch.tensor(tokenizer([text_of(chat) for chat, *_ in drawn])["input_ids"])
    answers = torch.tensor(tokenizer([answer for _, answer, _ in drawn])["input_ids"])[:, 0]
    loss = nn.functional.cross_entropy(model(ids)[:, -1], answers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
model.eval()

# %% [markdown]
# ## Ask
#
# `Sources` says which parts of the message are documents. What is explained is the answer that the model gives.

# %%
drawn = [asked_chat(random.Random(seed)) for seed in range(10_000, 10_020)]
chats, answers, evidence = map(list, zip(*drawn, strict=True))
with torch.no_grad():
    best = [model(torch.tensor([tokenizer(text_of(chat))["input_ids"]]))[0, -1].argmax() for chat in chats]
said = [tokenizer.decode([int(token)]) for token in best]
told = [one == answer for one, answer in zip(said, answers, strict=True)]
print(f"{sum(told) / len(told):.1%} of new questions are answered right")
auto = pnpxai.AutoExplanationForGeneration(model, tokenizer, chats, said)
print(auto)

# %% [markdown]
# ## Explain
#
# With four documents there are sixteen sets of them, so that Shapley values are exact.

# %%
explanations = auto.explain()
explanations[0].show()
explanations[0].to_html("sources.html")
explanations[0].plot().savefig("sources.png", dpi=120)

# %% [markdown]
# ## Was it found?
#
# Of the answers that are right: how often has the document with the fact the largest value?


# %%
def found(maps):
    """Return how often the document that was asked for has the largest value."""
    hits = [int(values.argmax()) == k for values, k, right in zip(maps, evidence, told, strict=True) if right]
    return sum(hits) / len(hits)


chance = torch.Generator().manual_seed(0)
by_chance = sum(found([torch.rand(4, generator=chance) for _ in chats]) for _ in range(20)) / 20
for method in ("ShapleyValues", "LeaveOneOut", "ContextCite", "AttnLRP"):
    maps = [explanation.of() for explanation in auto.explain(method)]
    print(f"{method}: rank accuracy {found(maps):.2f}, of a random map {by_chance:.2f}")

# %% [markdown]
# ## How far to trust it, where the evidence is not known
#
# Documents are really removed: what does the answer lose without the one that a method names?

# %%
table = auto.compare(k=(1,), n_ablations=16)
print(table.groupby(["measure", "method"]).value.mean().unstack().round(2).T)
print(f"written: {Path('sources.png')}, {Path('sources.html')}")
