"""``plimsoll``: the command line for people and pipelines. It speaks REST only and imports nothing of the service."""
