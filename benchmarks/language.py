"""Generated text against captum, side by side in one run: both times, and how far the results are apart.

    python benchmarks/language.py [--model FOLDER] [--tokens 8] [--repeats 3] [--faithfulness]

The model is a decoder of the form of SmolLM2 with random weights, four layers deep, or that of a local folder as
transformers saves it. Times are CPU seconds of one thread; the two libraries take turns, and the best run counts.
captum scores an output token by token with a cache by default, or in one pass (``forward_in_tokens=False``). Relevance
of all tokens from one forward pass is compared with a run for every token. Then faithfulness: the log-probability that
the response loses without the three words that a method names, at as many passes as it takes.
"""

from __future__ import annotations

import argparse
from typing import Any

import captum.attr
import torch
from measuring import Run, timed
from prompt_faithfulness import faithfulness_table, report
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import pnpxai
import pnpxai.attributors as ours
from pnpxai.attributors.language.responses import ResponseModel
from pnpxai.attributors.language.seeds import relevances_of

VALUES = ["old lighthouse keeper", "red cat", "blue parrot", "tower", "sea", "winter"]
TEMPLATE = "The {} kept a {} and a {} in the {} above the {} all {} long. The colour of the cat was"


def loaded(folder: str | None) -> tuple[Any, Any]:
    if folder is not None:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)
    import tokenizers

    words = sorted(set(TEMPLATE.replace("{}", "").split()) | set(" ".join(VALUES).split()))
    vocabulary = {w: k for k, w in enumerate(["<unk>", "<s>", "</s>", *words])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8192, hidden_size=576, intermediate_size=1536, num_hidden_layers=4, num_attention_heads=9,
        num_key_value_heads=3, initializer_range=0.1,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval(), PreTrainedTokenizerFast(tokenizer_object=made, **names)


def compared(name: str, runs: dict[str, Run], repeats: int) -> None:
    best, results = dict.fromkeys(runs, float("inf")), {}
    for _ in range(repeats):
        for label, run in runs.items():
            seconds, results[label] = timed(run, torch.device("cpu"))
            best[label] = min(best[label], seconds)
    first = next(iter(runs))
    for label, seconds in best.items():
        apart = float((results[label].double() - results[first].double()).abs().max())
        ratio = "" if label == first else f", {seconds / best[first]:.1f} times; apart by at most {apart:.1e}"
        print(f"{name:26} {label:22} {seconds:8.2f} CPU s{ratio}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--faithfulness", action="store_true", help="compare with rivals on ten prompts; needs --model")
    parser.add_argument("--prompts", type=int, default=10)
    parser.add_argument("--passes", type=int, default=32, help="forward passes of each method that samples")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = loaded(options.model)
    if options.faithfulness:
        print(report(faithfulness_table(model, tokenizer, options.prompts, options.passes)))
        return
    prompt = TEMPLATE.format(*VALUES)
    ids = torch.tensor(tokenizer(prompt)["input_ids"])
    settings = {"max_new_tokens": options.tokens, "min_new_tokens": options.tokens, "do_sample": False}
    with torch.no_grad():
        response = model.generate(ids[None], attention_mask=torch.ones_like(ids[None]), **settings)[0, len(ids) :]

    def by(library: Any, method: str, **more: Any) -> Run:
        attribution = library.LLMAttribution(getattr(library, method)(model), tokenizer)
        return lambda: attribution.attribute(library.TextTemplateInput(TEMPLATE, VALUES), response, **more).token_attr

    for method in ("FeatureAblation", "ShapleyValues"):
        theirs = {
            "captum": by(captum.attr, method),
            "captum, one pass": by(captum.attr, method, forward_in_tokens=False),
        }
        compared(method, {"ours": by(ours, method)} | theirs, options.repeats)

    def gradients(library: Any) -> Run:
        layer = library.LayerIntegratedGradients(model, model.get_input_embeddings())
        attribution = library.LLMGradientAttribution(layer, tokenizer)
        return lambda: attribution.attribute(library.TextTokenInput(prompt, tokenizer), response, n_steps=8).token_attr

    compared("LayerIntegratedGradients", {"ours": gradients(ours), "captum": gradients(captum.attr)}, options.repeats)
    reads = ResponseModel(model, response)
    x = reads.embeddings(ids)[None]

    def one_by_one() -> torch.Tensor:
        runs = [
            relevances_of(model, lambda at, k=k: reads.scores_at(at)[:, k : k + 1], x) for k in range(len(response))
        ]
        return torch.cat([run.values[0] for run in runs])

    together = {
        "one forward pass": lambda: relevances_of(model, reads.scores_at, x).values[0],
        "a pass each": one_by_one,
    }
    compared(f"AttnLRP {len(ids)} x {len(response)}", together, options.repeats)
    auto = pnpxai.AutoExplanationForGeneration(model, tokenizer, prompt, response)
    methods = ["AttnLRP", "GradientXInput", "LeaveOneOut", "ContextCite", "Attention", "Position", "Random"]
    measured = auto.compare(methods, k=(3,), n_ablations=16)
    print(
        measured.pivot(index="method", columns="measure", values="value")
        .round(3)
        .join(measured.groupby("method").rows.first())
    )


if __name__ == "__main__":
    main()
