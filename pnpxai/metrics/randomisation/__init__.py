"""randomisation."""
