"""Attribution by rules: what a model gives is passed back operation by operation.

``lrp`` and ``rap`` pass back relevance by the rules in ``relevance``, chosen by ``composites`` and ``captum_rules``;
``deeplift`` passes back differences by those in ``rescale``; ``full_grad`` splits a score into all biases' parts.
"""
