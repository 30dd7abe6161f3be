"""DeepLIFT's rescale rule, operation by operation: what a difference of operands is multiplied by.

``ruled_model`` runs a model twice and ties each operation to its rule; ``rules`` finds the rule of an operation in
``elementwise``, ``products``, ``softmax`` and ``selections``. ``conditions`` deals with masks that the values decide.
"""
