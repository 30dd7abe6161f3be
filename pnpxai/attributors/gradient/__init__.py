"""Methods that differentiate: at the inputs, along paths, at noisy copies, and through changed ReLUs.

``saliency`` takes one gradient; ``paths``, ``layer_paths`` and ``conductance`` follow a line from a baseline; ``noise``
(with ``noisy_copies``) and ``expectations`` (with ``random_points``) take means over draws; ``adaptive`` takes as many
steps or draws as an example needs; ``backprop`` changes the gradient that ReLUs pass back, and ``rectifiers`` finds the
ReLUs.
"""
