"""Whether a map says what the model needs: features are removed, and the score is compared with the map.

``features`` says which positions belong together and ``imputation`` what stands in for them; ``removal`` holds both as
settings. ``flipping``, ``insertion``, ``erasure`` and ``road`` remove features in the map's order; ``correlation`` and
``infidelity`` compare the map's sums with the losses of random ``subsets``; ``completeness`` compares its whole sum.
"""
