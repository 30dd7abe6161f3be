"""How a model is run: score, site, batching, guard, seeds, operations."""
