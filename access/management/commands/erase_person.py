"""``manage.py erase_person NAME --basis …``: forget who an account belongs to."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access import queries
from access.erasing import LegalBasis, erase_person
from audit.actors import SYSTEM
from audit.errors import DomainError


class Command(BaseCommand):
    """For when nobody can sign in to do it; otherwise it is on the page of the person."""

    help = "Erase the person behind an account: names, ways in, roles, and their openings in the trail."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--basis", required=True, choices=[basis.value for basis in LegalBasis])

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = queries.user_by_name(options["username"])
            done = erase_person(by=SYSTEM, user=user, legal_basis=LegalBasis(options["basis"]))
        except DomainError as refusal:
            raise CommandError(refusal.sentence) from None
        self.stdout.write(f"Erased, as act {done.act}: {done.openings} openings in the trail are deleted.")
