"""Generated networks, explained by every explainer.

``architectures`` draws a small network of some kind of data from a seed; ``blocks`` holds what networks are made of;
``cells`` holds one explainer to its promises on one network. ``python -m tests.fuzz --cells 1000 --seed 7`` runs as
many as wanted; ``pytest -m fuzz`` runs a few of a fixed seed.
"""
