"""Attributors made of gradients of the score.

``saliency`` takes one gradient, ``paths`` and ``layer_paths`` sum gradients along a path, ``conductance`` follows one
through a layer, ``expectations`` averages over ``random_points``, ``noise`` over noisy copies; ``adaptive`` adds steps.
"""
