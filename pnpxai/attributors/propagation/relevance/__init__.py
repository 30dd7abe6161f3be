"""Relevance, operation by operation: how what an operation gave is shared among its operands.

``ledger`` says what a rule is; ``linear``, ``sums``, ``elementwise`` and ``softmax`` hold the rules by kind of
operation, ``layer_rules`` those of zennit and captum, on the ``kernels`` of layers. ``ruled_model`` runs a model in
which each operation is tied to its rule, ``ruled_modules`` one in which a user's modules keep theirs.
"""
