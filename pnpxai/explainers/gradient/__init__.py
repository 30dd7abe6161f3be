"""Explainers that differentiate with respect to the inputs: once, along a path, or at noisy copies.

``saliency`` takes one gradient; ``smooth_grad`` takes gradients of noisy copies; ``integrated_gradients`` and
``gradient_shap`` take gradients between a baseline and the input; ``backprop`` changes the gradient that ReLUs pass
back.
"""
