"""What a user names: ``attribute(inputs, targets)``, ``explain(...)``, ``get_tunables()``."""
