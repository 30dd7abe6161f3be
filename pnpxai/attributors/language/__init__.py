"""Scores of the tokens that a language model writes, and captum's names for attributing them.

``responses`` runs a model on prompts with a fixed response, ``seeds`` passes many scores back through one forward pass.
``interpretable_inputs``, ``llm_attribution`` and ``llm_result`` are captum's classes for generated text over them.
"""
