"""Explainers that draw a layer's feature map over the input.

``class_activation`` holds the common base and most methods; ``grad_cam`` builds on it.
"""
