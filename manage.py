#!/usr/bin/env python
"""Plimsoll's command line: every command runs under the database role it needs and no stronger one."""

import os
import sys

# Commands that change the schema, or set up what the running service may not; everything else runs as the app role.
ROLE_OF_COMMAND = {
    "migrate": "owner",
    "makemigrations": "owner",
    "sequencer": "sequencer",
    "audit_key": "sequencer",
    "test": "owner",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    os.environ.setdefault("PLIMSOLL_ROLE", ROLE_OF_COMMAND.get(command, "app"))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
