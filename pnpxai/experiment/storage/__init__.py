"""What a run folder holds: ``keys`` says what each entry is known by, ``records`` what is noted of a chunk of examples.

``store`` keeps the records, ``maps`` the maps; ``tables`` and ``saved_examples`` make the results of a run of them.
"""
