"""``python -m web.cli``; the project installs it as ``plimsoll``."""

from web.cli.commands import plimsoll

if __name__ == "__main__":
    plimsoll(prog_name="plimsoll")
