"""Attributors that hide parts of the inputs and look at what the score does.

``groups`` says what is hidden together, ``padding`` (one floor up) what cannot, ``stand_ins`` what takes its place, and
``games`` runs them. ``ablation``, ``occlusion``, ``rise`` (with ``random_masks``), ``lime`` are one method each.
Shapley values (``shapley``) choose coalitions (``designs``), play them (``plays``) and estimate from their scores
(``estimates``, ``odd_terms``); ``interactions`` does so for pairs.
"""
