"""Attributions of one value inside a model, instead of one of its outputs.

``selection`` is the model as a function that ends at a layer, and says which of the layer's values is meant;
``methods`` gives that function to the methods for outputs, ``conductance`` needs the output beside it.
"""
