"""``manage.py audit_key``: show the log's keys for paper, print the trust file, bring in a new key, retire an old one.

``show`` and ``trust`` need the database alone. ``rotate`` and ``retire`` write into the sequencer's key folder and run
under the account it runs under.
"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import rotation, sequencer
from audit.actors import SYSTEM
from audit.errors import DomainError
from audit.events import LOGS
from audit.keys import KeyFileError


class Command(BaseCommand):
    """Prints what auditors need out of band, and changes which keys sign."""

    help = "Show the keys that sign the log, print a trust file, rotate and retire keys."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", metavar="{show,trust,rotate,retire}")
        acts.add_parser("show", help="origin, verifier keys, ranges and fingerprints (the default)")
        for name, words in (
            ("trust", "print trust.json of a log"),
            ("rotate", "make and announce a second key; both sign from then on"),
            ("retire", "end a key's range and destroy its private half"),
        ):
            act = acts.add_parser(name, help=words)
            act.add_argument("--log", required=True, choices=LOGS)
            if name == "retire":
                act.add_argument("verifier", help="the verifier key, or its eight-digit key id")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['act'] or 'show'}")(options)
        except DomainError as error:
            raise CommandError(error.sentence) from None
        except KeyFileError as error:
            raise CommandError(str(error)) from None

    def _show(self, options: dict[str, Any]) -> None:
        for log_name in LOGS:
            self.stdout.write(f"log          {log_name}\norigin       {sequencer.origin(log_name)}")
            known = rotation.ranges(log_name)
            if not known:
                self.stdout.write("             no key yet: it is made when the sequencer starts for the first time")
            for each in known:
                end = "now" if each.to_size is None else str(each.to_size)
                self.stdout.write(f"\nverifier key {each.verifier}\nkey id       {each.key_id}")
                self.stdout.write(f"signs sizes  {each.from_size} to {end}\nfingerprint  {each.fingerprint}")
            self.stdout.write("")

    def _trust(self, options: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(rotation.trust(options["log"]), indent=2, ensure_ascii=False))

    def _rotate(self, options: dict[str, Any]) -> None:
        made = rotation.rotate(by=SYSTEM, log_name=options["log"])
        self.stdout.write(
            f"The new key signs from size {made.from_size} on, beside the old one:\n{made.verifier}\n"
            f"fingerprint {made.fingerprint}\n"
            "Give it to auditors and witnesses now, and retire the old key once they have it."
        )

    def _retire(self, options: dict[str, Any]) -> None:
        ended = rotation.retire(by=SYSTEM, log_name=options["log"], verifier=options["verifier"])
        self.stdout.write(f"The key {ended.key_id} signed up to size {ended.to_size} and no further.")
