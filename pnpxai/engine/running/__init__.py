"""Running a model: from a user's inputs to numbers, one for each example.

``arguments`` reads inputs, ``score`` selects the output, ``gradients`` differentiates it, ``guard`` borrows the
model; ``places``, ``site``, ``replay`` reach inside; ``row_independence`` and ``batching`` decide what runs together;
``loops`` runs it for all methods.
"""
