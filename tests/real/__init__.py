"""Explainers on networks with trained weights."""
