"""Class activation maps: a layer's channels, weighted and summed.

``feature_maps`` finds and reads the layer, ``maps`` holds the common base and the methods with gradients, ``score_cam``
weights channels by scores, ``grad_cam`` has captum's form of Grad-CAM, ``guided`` multiplies Grad-CAM by guided
backpropagation.
"""
