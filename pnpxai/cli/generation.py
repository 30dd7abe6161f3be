"""Explains what a language model writes: a model from a local folder, a prompt from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pnpxai.cli.options import Explain
from pnpxai.errors import ArgumentError, MissingExtraError
from pnpxai.files import ReadJson
from pnpxai.model_types import Model, Tokenizer

if TYPE_CHECKING:
    from pnpxai.auto.generation import AutoExplanationForGeneration

__all__ = ["explained_response"]


def explained_response(options: Explain, folder: Path) -> dict[str, ReadJson]:
    """Explain a response and write a page and a JSON file for each method; return these and a summary, by method.

    Raises:
        ArgumentError: the folder holds no language model, or the file no prompt.
    """
    if options.data is not None:
        raise ArgumentError("data: a prompt is explained, so that there is no data; leave one of the two out")
    auto = _auto(options)
    written: dict[str, ReadJson] = {}
    for spec in options.explainers or [auto.recommended]:
        name, settings = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()))
        explanation = auto.explain(name, **settings)
        page = explanation.to_html(folder / f"{name}.html")
        saved = explanation.save(folder / f"{name}.json")
        written[name] = {
            "picture": str(page), "values": str(saved), "seconds": explanation.seconds, "text": str(explanation),
            "response": explanation.response,
        }  # fmt: skip
    return written


def _auto(options: Explain) -> AutoExplanationForGeneration:
    from pnpxai.auto.generation import AutoExplanationForGeneration

    prompt = _prompt(Path(options.prompt or ""))
    model, tokenizer = _loaded(options)
    return AutoExplanationForGeneration(
        model, tokenizer, prompt, options.response, units=options.units, response_units=options.response_units,
        generate={"max_new_tokens": options.max_tokens},
    )  # fmt: skip


def _loaded(options: Explain) -> tuple[Model, Tokenizer]:
    """Return the model and the tokenizer of a local folder; nothing is downloaded, and no code in it runs."""
    try:
        import transformers
    except ImportError as problem:
        raise MissingExtraError("--prompt needs transformers: pip install 'pnpxai[text]'") from problem
    folder = Path(options.model or "")
    if not (folder / "config.json").is_file():
        raise ArgumentError(f"model: expected a folder with config.json, weights and a tokenizer, got {folder}")
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **local)
        encodes = bool(getattr(config, "is_encoder_decoder", False))
        kind: Any = transformers.AutoModelForSeq2SeqLM if encodes else transformers.AutoModelForCausalLM
        model = kind.from_pretrained(folder, use_safetensors=True, **local)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
    except (OSError, ValueError, KeyError) as problem:
        words = " ".join(str(problem).split())
        raise ArgumentError(f"model: {folder} cannot be read as a language model ({words[:200]})") from problem
    return model.to(options.device) if options.device else model, tokenizer


def _prompt(path: Path) -> Any:
    """Return the prompt of a file: a text, or in JSON messages, a question with sources, a template with values."""
    from pnpxai.auto.generation import Sources, Template

    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else None
    except OSError as problem:
        raise ArgumentError(f"prompt: {path} cannot be read: {problem.strerror or problem}") from problem
    except ValueError as problem:
        raise ArgumentError(f"prompt: {path} holds no JSON ({problem})") from problem
    if data is None:
        return text.removesuffix("\n")
    if isinstance(data, dict) and {"question", "sources"} <= set(data):
        return Sources(data["question"], data["sources"])
    if isinstance(data, dict) and {"template", "values"} <= set(data):
        return Template(data["template"], data["values"], data.get("absent", {}))
    if isinstance(data, list):
        return data
    raise ArgumentError(
        f"prompt: expected in {path} messages ([{{'role': ..., 'content': ...}}]), or an object with question and "
        "sources, or with template and values"
    )
