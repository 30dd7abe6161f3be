"""Attributions of one value inside a model, instead of one of its outputs.

``selection`` turns the model into a function that ends at a layer, and selects one of the layer's values; ``methods``
applies the methods for outputs to that function; ``conductance`` needs the model's output too.
"""
