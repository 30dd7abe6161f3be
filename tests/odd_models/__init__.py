"""Models that an engine of gradients and rules may not expect: every kind of method is right on them, or refuses.

``rows`` holds models whose rows depend on each other, or that take one batch size, or that draw or keep numbers;
``written`` holds networks beside the same network in plain operations; ``judging`` runs the methods and compares them
with loops in plain torch. ``python -m tests.odd_models`` writes the table of ``docs/reliability.md``.
"""
