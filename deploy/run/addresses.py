"""Database addresses: building one per role, in the spelling each library wants. No connections are made here."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

# The roles that Django connects as, by the environment variable that carries the address.
DJANGO_ROLES = {
    "PLIMSOLL_DB_OWNER": "plimsoll_owner",
    "PLIMSOLL_DB_APP": "plimsoll_app",
    "PLIMSOLL_DB_SEQUENCER": "plimsoll_sequencer",
    "PLIMSOLL_DB_ERASER": "plimsoll_eraser",
}
TRACKING_ROLE = "plimsoll_tracking"
BROKER_ROLE = "plimsoll_broker"
ROLES = (*DJANGO_ROLES.values(), TRACKING_ROLE, BROKER_ROLE)

# Each neighbour of Django's tables has a room of its own: a database when the server is ours, a schema when it is not.
ROOMS = {TRACKING_ROLE: "tracking", BROKER_ROLE: "broker"}


def on_socket(user: str, database: str, directory: Path) -> str:
    """An address that goes through the Unix socket in `directory`."""
    return f"postgresql://{user}@/{database}?{urlencode({'host': str(directory)}, quote_via=quote)}"


def acting_as(url: str, role: str, *, schema: str | None = None) -> str:
    """The same login, with its rights narrowed to `role` and, if given, `schema` first in the search path."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    wanted = f"-c role={role}" + (f" -c search_path={schema}" if schema else "")
    query["options"] = f"{query['options']} {wanted}" if query.get("options") else wanted
    # quote, not quote_plus: libpq reads a plus sign as a plus sign
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query, quote_via=quote), ""))


def for_sqlalchemy(url: str) -> str:
    """The address as SQLAlchemy spells it, with psycopg 3 as its driver."""
    return "postgresql+psycopg://" + url.split("://", 1)[1]


def for_celery(url: str) -> str:
    """The address as kombu's SQLAlchemy transport spells it."""
    return "sqla+" + for_sqlalchemy(url)


def embedded(socket_directory: Path) -> dict[str, str]:
    """Every address of the server we run ourselves, one login per role."""
    told = {name: on_socket(role, "plimsoll", socket_directory) for name, role in DJANGO_ROLES.items()}
    told["TRACKING_STORE_URL"] = for_sqlalchemy(on_socket(TRACKING_ROLE, ROOMS[TRACKING_ROLE], socket_directory))
    told["CELERY_BROKER_URL"] = for_celery(on_socket(BROKER_ROLE, ROOMS[BROKER_ROLE], socket_directory))
    return told


def on_server(database_url: str, owner_url: str | None) -> dict[str, str]:
    """Every address on a server of one's own: one login (two with DATABASE_OWNER_URL), a role chosen per process."""
    told = {name: acting_as(database_url, role) for name, role in DJANGO_ROLES.items()}
    told["PLIMSOLL_DB_OWNER"] = acting_as(owner_url or database_url, DJANGO_ROLES["PLIMSOLL_DB_OWNER"])
    tracking = acting_as(database_url, TRACKING_ROLE, schema=ROOMS[TRACKING_ROLE])
    broker = acting_as(database_url, BROKER_ROLE, schema=ROOMS[BROKER_ROLE])
    told["TRACKING_STORE_URL"] = for_sqlalchemy(tracking)
    told["CELERY_BROKER_URL"] = for_celery(broker)
    return told
