"""Relevance, operation by operation: how what an operation gave is shared among its operands.

``ledger`` says what a rule is; ``linear``, ``places``, ``sums``, ``elementwise``, ``norms``, ``softmax`` and
``attention`` hold the rules by kind of operation, ``layer_rules`` those of layers, on their ``kernels``. ``steps`` ties
an operation to its rule, ``kept`` says what it keeps until relevance comes. ``ruled_model`` runs a model in which all
operations are tied, ``ruled_modules`` one in which a user's modules keep rules of their own.
"""
