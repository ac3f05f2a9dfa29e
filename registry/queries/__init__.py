"""Reads of the registry. Every one starts from what the asker may see; what is not visible is not there (404)."""
