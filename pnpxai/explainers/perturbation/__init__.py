"""Explainers that hide parts of the input and look at what the score loses.

``grouped`` holds what those share that hide groups of features; each other file is one method.
"""
