"""Where trials are kept: ``storages`` opens a storage, ``journal_file`` is the journal with checksums.

``queue`` shares the trials of a study among processes; ``optuna_private`` is the only file with Optuna's private names.
"""
