"""What one trial is worth: ``judging`` measures a candidate, ``requirements`` checks what is asked of it.

``shared_runs`` keeps what trials have in common; ``objective`` evaluates a trial, ``pruning`` decides whether it ends
early, and ``record`` is all that a trial keeps in the study beside its parameters and values.
"""
