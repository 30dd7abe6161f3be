"""Whether a map depends on what the model has learned, and on which class is explained.

``randomised_models`` makes copies of a model with random layers; ``randomisation`` holds the metrics.
"""
