"""Explainers that pass a score, or a difference of scores, back operation by operation.

``lrp`` holds relevance propagation with fixed composites, ``lrp_rules`` its variants with rules to choose; ``deeplift``
passes back differences from a baseline; ``full_grad`` adds the maps of all biases.
"""
