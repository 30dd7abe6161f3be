"""A search from its call to its result: ``study`` (``tune``) checks the arguments, ``plan`` runs the trials.

``samplers`` chooses settings, ``budget`` limits the cost, ``race`` runs several searches under one budget, and
``best_settings`` picks the winner of the finished trials and measures it on held-out examples.
"""
