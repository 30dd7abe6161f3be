"""Where trials are kept: ``storages`` opens a storage, ``sqlite_file`` and ``journal_file`` know the two kinds of file.

``queue`` shares the trials of a study among processes; ``optuna_private`` is the only file with Optuna's private names.
"""
