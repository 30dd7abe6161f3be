"""``python -m tests.odd_models`` writes the table of situations into ``docs/reliability.md``."""

from tests.odd_models.table import write

write()
