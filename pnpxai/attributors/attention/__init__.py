"""Attention: what the weights of a model's attention say of its tokens.

``maps`` collects the weights and their gradients in one pass; ``rollout`` makes maps of the tokens of them.
"""
