"""(inputs, targets, attributions) -> one number per example."""
