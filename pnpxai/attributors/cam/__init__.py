"""Class activation maps: the channels of a feature map, weighted and summed.

``feature_maps`` finds the layer and reads its values; ``grad_cam`` weights them as captum does, ``maps`` in the ways of
the other papers, ``score_cam`` by scores instead of gradients; ``guided`` multiplies them with guided backpropagation.
"""
