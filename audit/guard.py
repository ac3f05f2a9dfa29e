"""The write guard: no statement changes a governed table unless a door is open.

It sits in the database backend (``audit/backend``), so it sees every statement the ORM or a cursor sends. It is a
guard against mistakes, in every environment; against an attacker with SQL the database's own rights and triggers stand.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_WRITE = re.compile(
    r'\s*(?:INSERT\s+INTO|UPDATE(?:\s+ONLY)?|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?)\s+"?(\w+)', re.IGNORECASE
)
_WITH = re.compile(r'\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\s+"?(\w+)', re.IGNORECASE)

GOVERNED_PREFIXES = ("registry_", "access_", "erasure_", "fairness_", "explain_")
# Bookkeeping without a meaning of its own: a job's lease, when files were last read, a counter of failed sign-ins,
# how an event got out.
UNGOVERNED = frozenset(
    {
        "registry_job",
        "registry_artifactcheck",
        "access_attempt",
        "access_lastuse",
        "registry_outboxevent",
        "registry_delivery",
        "registry_deliveryattempt",
        "registry_webhookhealth",
    }
)

_open: ContextVar[str | None] = ContextVar("plimsoll_open_door", default=None)


class WriteOutsideDoorError(RuntimeError):
    """A governed table was about to change without a door, so without permission and without an entry."""


def is_governed(table: str) -> bool:
    """Whether writes to ``table`` need an open door."""
    return table.startswith(GOVERNED_PREFIXES) and table not in UNGOVERNED


def written_table(sql: str) -> str | None:
    """The table a statement writes to, None for one that only reads."""
    match = _WRITE.match(sql)
    if match is None and sql.lstrip()[:4].upper() == "WITH":
        match = _WITH.search(sql)
    return match.group(1).lower() if match else None


def open_door() -> str | None:
    """The action of the door that is open in this context, if one is."""
    return _open.get()


@contextmanager
def allow(action: str) -> Iterator[None]:
    """Let writes through while a door for ``action`` is open. Only ``audit.door`` calls this."""
    token = _open.set(action)
    try:
        yield
    finally:
        _open.reset(token)


def refuse_unguarded(
    execute: Callable[[Any, Any, bool, Any], Any], sql: Any, params: Any, many: bool, context: Any
) -> Any:
    """A Django execute wrapper (``Any`` is its published signature)."""
    if _open.get() is None:
        table = written_table(str(sql))
        if table is not None and is_governed(table):
            raise WriteOutsideDoorError(
                f"{table} is a governed table: change it through an action that opens the door (audit/door.py)."
            )
    return execute(sql, params, many, context)
