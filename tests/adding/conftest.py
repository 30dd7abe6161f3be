"""Leaves the files of ``new`` alone: they are for a copy of the repository."""

collect_ignore = ["new"]
