"""Account ids as the names people read. Nothing else about people is looked up for pages here."""

import uuid
from collections.abc import Iterable, Mapping

from access import queries

Names = Mapping[str, str]
GONE = "an account no longer on record"
SYSTEM = "Plimsoll"


def names_of(accounts: Iterable[str | None]) -> Names:
    """``{account id: name}`` in one query; ids that are gone, or never were accounts, are missing."""
    return queries.display_names({account for account in accounts if account and _is_uuid(account)})


def name_in(names: Names, account: str | None) -> str:
    """The name of one account; Plimsoll itself has no account."""
    if not account or not _is_uuid(account):
        return SYSTEM
    return names.get(account, GONE)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
