# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chat with sources: which document did the answer come from?
#
# A small language model, built here and trained in a minute, answers questions about documents in its prompt. One
# document holds the fact that is asked for, so we know which one every answer must come from.

# %%
import random
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import pnpxai

ANIMALS = "cat dog bird fish horse mouse goat crow".split()
COLOURS = "red blue green grey white black".split()
SPECIAL = ["<pad>", "<s>", "</s>"]
WORDS = [*"the is what colour . ? user : assistant".split(), *ANIMALS, *COLOURS]
vocabulary = {w: k for k, w in enumerate([*SPECIAL, "\n", *WORDS, *(f"_{w}" for w in WORDS)])}
words = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
words.normalizer = normalizers.Replace(" ", "_")
words.pre_tokenizer = pre_tokenizers.Split(Regex(r"_?[a-z]+|_?[.?:]|\n"), "isolated")
words.decoder = decoders.Sequence([decoders.Replace("_", " "), decoders.Fuse()])
CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }} :\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant :\n{% endif %}"
)
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", chat_template=CHAT
)


def conversation(draw):
    """Return messages, the answer, and the number of the document that holds it."""
    animals = draw.sample(ANIMALS, 4)
    colours = [draw.choice(COLOURS) for _ in animals]
    asked = draw.randrange(4)
    documents = [f"the {animal} is {colour} ." for animal, colour in zip(animals, colours, strict=True)]
    question = f"what colour is the {animals[asked]} ?"
    content = pnpxai.Sources(question, documents, text="{sources}{question}")
    return [{"role": "user", "content": content}], colours[asked], asked


def batch(draw, count):
    """Return ids (count, tokens) of conversations, and of their answers."""
    ids, answers = [], []
    for _ in range(count):
        messages, answer, _ = conversation(draw)
        sources = messages[0]["content"]
        text = "\n".join([*sources.documents, sources.question])
        ids.append(tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)["input_ids"])
        answers.append(vocabulary[answer])
    return torch.tensor(ids), torch.tensor(answers)


torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)  # fmt: skip
model = LlamaForCausalLM(config)
optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
draw = random.Random(1)
STEPS = 700
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS)
for _ in range(STEPS):
    ids, answers = batch(draw, 64)
    logits = model(torch.cat([ids, answers[:, None]], 1)).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits[:, -1], answers)
    loss = loss + 0.3 * torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
model.eval()
ids, answers = batch(random.Random(2), 300)
with torch.no_grad():
    told = model(ids).logits[:, -1].argmax(1)
print(f"{(told == answers).float().mean():.1%} of new questions are answered right")
