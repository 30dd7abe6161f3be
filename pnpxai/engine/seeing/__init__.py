"""seeing."""
