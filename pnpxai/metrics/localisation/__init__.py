"""localisation."""
