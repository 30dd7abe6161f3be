"""Explainers that differentiate with respect to the inputs: once, along a path, or at noisy copies.

``saliency`` takes one gradient, ``smooth_grad`` many of noisy copies, ``integrated_gradients`` and ``gradient_shap``
those between a baseline and the input, ``backprop`` one whose ReLUs let only positive evidence back.
"""
