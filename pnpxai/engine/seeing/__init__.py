"""Following a model's computation, operation by operation.

``operations`` sees and replaces every call of torch; ``operation_kinds`` says what each does to a value, and
``unseen`` finds values that something hid from it. ``decompositions`` writes compound operations out in elementary
ones (``attention``, ``norms``, ``cells``, ``reductions``, ``losses``); ``token_grid`` finds maps in the values of
layers.
"""
