"""Situations that people bring, each with every attributor and explainer.

``calls`` holds a plain call and the methods that answer it, ``situations`` what may be odd about a call, ``judging``
what comes of one method in one situation. ``python -m tests.reliability --all`` runs everything and prints the table.
"""
