"""Whether a map stays as it is when its input hardly changes.

``neighbours`` disturbs inputs and explains them again; ``embedded_noise`` moves token ids to their embedding, where
noise has a meaning; ``sensitivity`` holds the metrics.
"""
