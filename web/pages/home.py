"""The start page: what waits for the reader, by role, and what would appear where nothing does."""
