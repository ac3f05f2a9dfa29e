"""``manage.py token NAME``: print a bearer token for a person or a service account, and nothing else on stdout."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access import actions, queries
from audit.actors import SYSTEM
from audit.errors import DomainError


class Command(BaseCommand):
    """Make a token; its secret is shown once."""

    help = "Print a bearer token for the account NAME."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="user name of a person or a service account")
        parser.add_argument("--label", default="command line", help="what the token is called in the list of tokens")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = queries.user_by_name(options["name"])
            _, secret = actions.create_token(by=SYSTEM, user=user, name=options["label"])
        except DomainError as error:
            raise CommandError(error.sentence) from None
        self.stdout.write(secret)
