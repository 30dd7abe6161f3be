"""Explainers that show a layer's feature map.

``class_activation`` holds what all share and most of the methods; ``grad_cam`` builds on it.
"""
