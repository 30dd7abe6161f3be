"""Faults planted in the package's own source, each with the tests that must fail under it.

``planting`` changes a function while a block runs, ``planted`` lists the faults of every floor, and ``python -m
tests.faults`` plants each of them and shows which of its tests fail. Faults in methods of third parties, which the
contracts must catch, stand in ``tests/testing/faults.py``.
"""
