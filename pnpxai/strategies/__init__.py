"""Exchangeable choices inside a method: baselines, feature masks, pooling, normalisation. All frozen callables."""
