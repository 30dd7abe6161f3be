"""Class activation maps: a layer's channels, weighted and summed.

``feature_maps`` finds and reads the layer, ``maps`` holds what all share and the methods with gradients, ``score_cam``
weights by scores, ``grad_cam`` has captum's form of Grad-CAM, ``guided`` multiplies it by guided backpropagation.
"""
