# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Which words made it say so?
#
# Short reviews are written by chance, each with one or two words of praise or blame. A tokenizer cuts long words
# into pieces (`delight ##ful`), and a small BERT, built here and trained in seconds, learns to tell the reviews apart.

# %%
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

import pnpxai

SPECIAL = ["[PAD]", "[UNK]", "[MASK]"]
PLAIN = "the a film story plot music cast was and with again really today we saw about it ending hour".split()
PRAISE, BLAME = ["delightful", "wonderful", "brilliant", "superb"], ["dreadful", "hateful", "boring", "awful"]
PIECES = "delight wonder dread hate brilliant superb boring awful ##ful".split()
vocabulary = {word: k for k, word in enumerate(SPECIAL + PLAIN + PIECES)}
words = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]",
    model_input_names=["input_ids", "attention_mask"],
)  # fmt: skip


def write(count, seed):
    """Return reviews, and whether they praise."""
    draw = random.Random(seed)
    texts, praises = [], []
    for _ in range(count):
        praise = draw.random() < 0.5
        said = draw.sample(PRAISE if praise else BLAME, draw.randint(1, 2))
        review = draw.choices(PLAIN, k=draw.randint(6, 10)) + said
        draw.shuffle(review)
        texts.append(" ".join(review))
        praises.append(int(praise))
    return texts, torch.tensor(praises)


torch.manual_seed(0)
config = BertConfig(
    vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
    max_position_embeddings=32, pad_token_id=0, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    id2label={0: "blame", 1: "praise"},
)  # fmt: skip
model = BertForSequenceClassification(config)
texts, praises = write(1000, seed=1)
batch = tokenizer(texts, return_tensors="pt", padding=True)
optimizer = torch.optim.Adam(model.parameters(), 2e-3)
for _ in range(150):
    rows = torch.randint(1000, (64,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(**{n: t[rows] for n, t in batch.items()}).logits, praises[rows]).backward()
    optimizer.step()
model.eval()
texts, praises = write(40, seed=2)
with torch.no_grad():
    told = model(**tokenizer(texts, return_tensors="pt", padding=True)).logits.argmax(1)
print(f"{(told == praises).float().mean():.1%} of new reviews are told right")

# %% [markdown]
# ## Explain
#
# The texts go in as they are. The tokenizer also knows what stands for an absent word, and which tokens make a word.

# %%
auto = pnpxai.auto_explain(model, (texts, praises), tokenizer=tokenizer)
print(auto)
print(auto.recommended)
explanation = auto.explain("AttnLRP", count=40)
explanation.plot(limit=5).savefig("words.png", dpi=120)
Path("words.html").write_text(explanation[:12]._repr_html_())

# %% [markdown]
# ## Was it found?
#
# We know which pieces of words praise or blame. Of as many tokens as there are of these, those with the largest
# attributions: how many are these?

# %%
ids, mask = (tokenizer(texts, return_tensors="pt", padding=True)[name] for name in ("input_ids", "attention_mask"))
truth = (ids >= len(SPECIAL + PLAIN)) & (ids != vocabulary["##ful"])  # which ends words of both kinds


def found(maps):
    """Return the mean share of the tokens with the largest values that praise or blame."""
    shares = []
    for values, here, real in zip(maps, truth, mask.bool(), strict=True):
        best = values.masked_fill(~real, -torch.inf).argsort(descending=True)[: int(here.sum())]
        shares.append(here[best].float().mean())
    return float(torch.stack(shares).mean())


by_chance = found(torch.rand(ids.shape, generator=torch.Generator().manual_seed(0)))
print(f"rank accuracy {found(explanation.attributions[0].sum(-1)):.2f}, of a random map {by_chance:.2f}")
print(f"written: {Path('words.png')}, {Path('words.html')}")
