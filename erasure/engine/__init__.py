"""The pure engine of erasure: find a person in a file, write the file without them, prove it.

Belongs here: computing on bytes, rows, dates and keys that are handed in. Does not belong here: Django, the database,
settings, the clock, storage layout, permissions and the state of a request. Nothing is re-exported, so that a caller
that only counts days does not load pyarrow or DuckDB.
"""
