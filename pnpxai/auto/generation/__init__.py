"""Explains what a language model writes: a value for each unit of the prompt and each unit of the response.

``prompt_specs`` is what users give, ``written_prompts`` its text, in which ``spans`` finds tokens, words and sentences;
``prompts`` says what of a prompt can be removed and what is held, ``responses`` does so for the answer. ``task`` is the
question (a model, a prompt, a response) as a function of what is present; ``methods`` answer it, ``explanation`` holds
an answer, ``faithfulness`` measures it by removing text. ``auto_generation`` is the object that users hold.
"""

from pnpxai.auto.generation.auto_generation import AutoExplanationForGeneration
from pnpxai.auto.generation.explanation import ResponseExplanation
from pnpxai.auto.generation.prompt_specs import Sources, Template

__all__ = ["AutoExplanationForGeneration", "ResponseExplanation", "Sources", "Template"]
