"""What protects the trail inside the database, as data, and how it is compared with what is really there.

Rights stand in ``audit/rights.py``, the functions in the migrations that make them; the rest stands here. The system
check, the doctor and the pages ask ``examine``. What lies in the tables is examined elsewhere (``audit/doctor.py``).
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

from audit import catalog, clock, migrations, rights
from audit.catalog import Catalog, Grant
from audit.events import LOGS
from audit.findings import Finding, Severity

AREA: Final = "protection"
RUNTIME: Final = (rights.APP, rights.SEQUENCER, rights.ERASER)
OWNER: Final = "plimsoll_owner"
PUBLIC: Final = "PUBLIC"

# trigger → (its function, pg_trigger.tgtype: 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate)
_REFUSING: Final = {
    "audit_append_only": ("audit_refuse_change", 1 + 2 + 8 + 16),
    "audit_no_truncate": ("audit_refuse_change", 2 + 32),
}
_ENQUEUE: Final = {"audit_enqueue": ("audit_enqueue", 1 + 4)}
APPEND_ONLY: Final = frozenset(
    {
        *("audit_event", "audit_quarantine", "audit_leaf", "audit_tile", "audit_tree", "audit_checkpoint"),
        *("audit_cosignature", "audit_log_key", "audit_log_key_end", "audit_anchor_receipt", "audit_minimum"),
    }
)
EXECUTE: Final = {
    "audit_enqueue": frozenset[str](),
    "audit_guard": frozenset[str](),
    "audit_make_months": frozenset({rights.SEQUENCER}),
    "audit_refuse_change": frozenset({PUBLIC}),
    "audit_link": frozenset({PUBLIC}),
}
UNIQUE: Final[dict[str, set[tuple[str, ...]]]] = {
    "audit_event": {("log", "recorded_at", "id")},
    "audit_pending": {("seq",)},
    "audit_quarantine": {("event_id",)},
    "audit_leaf": {("log", "seq"), ("event_id",)},
    "audit_tile": {("log", "level", "idx")},
    "audit_tree": {("log", "size")},
    "audit_checkpoint": {("log", "size")},
    "audit_log_key": {("verifier",)},
    "audit_log_key_end": {("verifier",)},
    "audit_anchor_receipt": {("log", "anchor", "size")},
    "audit_minimum": {("log", "minimum_index")},
    "audit_head": {("object_type", "object_id")},
    "audit_disclosure": {("event_id", "path")},
    "audit_subject_key": {("subject_id",)},
    "audit_pseudonym": {("ref",), ("account",)},
}
_LEAF_HASH: Final = r"sha256(('\x00'::bytea || leaf_data))"
_ODD_SETTINGS: Final = ("search_path", "session_replication_role", "role", "row_security")

_MIGRATE: Final = "Run manage.py migrate, which applies the rights of audit/rights.py, and find out who changed them."
_RESTORE: Final = (
    "Find out who changed it and when, then put it back as the migrations of the audit app make it, and run the doctor"
    " over everything."
)


def examine() -> list[Finding]:
    """Every difference between the protection that should be there and the one that is.

    Raises ``django.db.Error`` when the database cannot be asked.
    """
    if not catalog.is_here():
        return [
            _found(Severity.OPEN, "not-migrated", "The trail's tables are not in this database.", "manage.py migrate")
        ]
    missing = sorted({name for _, name, _ in pkgutil.iter_modules(migrations.__path__)} - catalog.migrated())
    if missing:
        sentence = f"The database has not gone through the migrations {', '.join(missing)} of the trail."
        return [_found(Severity.OPEN, "not-migrated", sentence, "Run manage.py migrate.")]
    actual = catalog.read(RUNTIME)
    parts = (_tables, _rewriting, _triggers, _functions, _rights, _roles, _settings, _keys, _months)
    return [found for part in parts for found in part(actual)]


def trail_tables(actual: Catalog) -> list[str]:
    """The tables of the trail, with every partition there is."""
    return sorted(set(rights.TRAIL_RIGHTS) | set(actual.partitions))


# -- tables ----------------------------------------------------------------------------------------------------------


def _tables(actual: Catalog) -> Iterator[Finding]:
    event = actual.tables.get("audit_event")
    owner = event.owner if event else OWNER
    for name in trail_tables(actual):
        table = actual.tables.get(name)
        if table is None:
            yield _broken("table-missing", f"The table {name} is missing.", _RESTORE)
            continue
        if table.owner != owner:
            sentence = f"The table {name} belongs to {table.owner} and not to {owner}."
            yield _broken("owner-differs", sentence, _RESTORE)
        if table.persistence != "p":
            sentence = f"The table {name} is not written to the database's log: a crash empties it."
            yield _broken("table-unlogged", sentence, f"ALTER TABLE {name} SET LOGGED.")
        if table.row_security:
            yield _broken("row-security", f"Row security is on for {name}: rows may be hidden.", _RESTORE)
    if actual.seen_as != "public":
        sentence = f"audit_event is read from the schema {actual.seen_as}: another table stands before the real one."
        yield _broken("name-shadowed", sentence, _RESTORE)


def _rewriting(actual: Catalog) -> Iterator[Finding]:
    """Rules and row policies: statements that do something else than they say."""
    trail = set(trail_tables(actual))
    for name, rule in actual.rules:
        if name in trail:
            yield _broken(
                "rule-unexpected", f"A rule {rule} rewrites statements on {name}.", f"DROP RULE {rule} ON {name}."
            )
    for name, policy in actual.policies:
        if name in trail:
            sentence = f"A row policy {policy} stands on {name}."
            yield _broken("policy-unexpected", sentence, f"DROP POLICY {policy} ON {name}.")


def _triggers(actual: Catalog) -> Iterator[Finding]:
    trail = set(trail_tables(actual)) & set(actual.tables)
    there = {(each.table, each.name): each for each in actual.triggers if each.table in trail}
    for table in sorted(trail):
        for name, (function, kind) in expected_triggers(table, actual).items():
            trigger = there.pop((table, name), None)
            if trigger is None:
                yield _broken("trigger-missing", f"The trigger {name} on {table} is missing.", _RESTORE)
            elif (trigger.function, trigger.kind, trigger.plain) != (function, kind, True):
                yield _broken("trigger-changed", f"The trigger {name} on {table} is another one.", _RESTORE)
            elif trigger.enabled != "A":
                sentence = f"The trigger {name} on {table} is not always enabled."
                yield _broken("trigger-disabled", sentence, f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}.")
    for table, name in sorted(there):
        yield _broken("trigger-unexpected", f"A trigger {name} that is not ours is on {table}.", _RESTORE)


def expected_triggers(table: str, actual: Catalog) -> dict[str, tuple[str, int]]:
    """The triggers a table should carry: name, function and kind."""
    if table in actual.partitions:
        return _REFUSING | _ENQUEUE
    return _REFUSING if table in APPEND_ONLY else {}


def _keys(actual: Catalog) -> Iterator[Finding]:
    for table, keys in UNIQUE.items():
        for columns in sorted(keys - actual.unique.get(table, set())):
            if table in actual.tables:
                sentence = f"Nothing keeps ({', '.join(columns)}) unique in {table}."
                yield _broken("key-missing", sentence, _RESTORE)
    if "audit_event" in actual.tables and actual.leaf_hash != _LEAF_HASH:
        yield _broken("hash-changed", "audit_event.leaf_hash is not computed from the leaf as it should be.", _RESTORE)


def _months(actual: Catalog) -> Iterator[Finding]:
    today = clock.now().date().replace(day=1)
    following = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    for log in LOGS:
        for month in (today, following):
            name = f"audit_event_{log}_{month:%Y%m}"
            if name not in actual.partitions:
                sentence = f"The table {name} for the events of {month:%B %Y} is missing."
                yield _found(
                    Severity.OPEN, "month-missing", sentence, "Start the sequencer; it makes the coming months."
                )
        default = f"audit_event_{log}_default"
        if default not in actual.partitions:
            yield _broken("table-missing", f"The table {default} is missing.", _RESTORE)
        elif actual.partitions[default] and catalog.has_rows(default):
            sentence = f"Events lie in {default}, outside every month: retention cannot drop them."
            yield _found(
                Severity.OPEN, "default-holds-events", sentence, "See “Is the trail intact?” in docs/operations.md."
            )


# -- functions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """A function as the newest migration makes it."""

    source: str
    definer: bool
    settings: tuple[str, ...]


_CREATE: Final = re.compile(
    r"CREATE (?:OR REPLACE )?FUNCTION (audit_\w+)\([^)]*\)((?:(?!\$\$).)*?) AS \$\$(.*?)\$\$", re.DOTALL
)
_PATH: Final = re.compile(r"SET search_path = ([\w, ]+?)(?: AS|\s*$)")


@cache
def made() -> dict[str, Made]:
    """The functions that the migrations make, read from the migrations themselves: there they stand once."""
    found: dict[str, Made] = {}
    for name in sorted(each.name for each in pkgutil.iter_modules(migrations.__path__)):
        module = importlib.import_module(f"{migrations.__name__}.{name}")
        for text in (value for value in vars(module).values() if isinstance(value, str)):
            for function, head, source in _CREATE.findall(text):
                path = _PATH.search(head)
                settings = (f"search_path={path[1].strip()}",) if path else ()
                found[function] = Made(source, "SECURITY DEFINER" in head, settings)
    return found


def _functions(actual: Catalog) -> Iterator[Finding]:
    event = actual.tables.get("audit_event")
    there: dict[str, list[catalog.Function]] = {}
    for each in actual.functions:
        there.setdefault(each.name, []).append(each)
    for name, expected in made().items():
        variants = there.pop(name, [])
        if len(variants) != 1:
            how = "missing" if not variants else "there more than once"
            yield _broken("function-missing", f"The function {name} is {how}.", _RESTORE)
        for found in variants[:1]:
            same = (found.source, found.definer, found.settings, found.language)
            if same != (expected.source, expected.definer, expected.settings, "plpgsql"):
                yield _broken("function-changed", f"The function {name} is not the one the migrations make.", _RESTORE)
            if event is not None and found.owner != event.owner:
                sentence = f"The function {name} belongs to {found.owner} and not to {event.owner}."
                yield _broken("owner-differs", sentence, _RESTORE)
    for found in (each for variants in there.values() for each in variants if each.definer):
        sentence = f"The function {found.name} is not ours and runs with the rights of {found.owner}."
        yield _broken("function-unexpected", sentence, f"Look at it; DROP FUNCTION {found.name} if nobody needs it.")


# -- rights and roles ------------------------------------------------------------------------------------------------


def expected_rights(kind: str, name: str) -> dict[str, frozenset[str]]:
    """Which role should hold what on a thing of the catalogue (``Grant.kind``); its owner is not listed."""
    if kind in ("r", "p"):
        return rights.expected(name)
    if kind == "S":
        return {rights.APP: frozenset({"USAGE", "SELECT"})}
    if kind == "f":
        return {role: frozenset({"EXECUTE"}) for role in EXECUTE.get(name, ())}
    if kind == "n":
        return {role: frozenset({"USAGE"}) for role in (*RUNTIME, PUBLIC)} | {OWNER: frozenset({"USAGE", "CREATE"})}
    return {}


def _rights(actual: Catalog) -> Iterator[Finding]:
    there: dict[tuple[str, str], set[tuple[str, str]]] = {
        ("p" if name in actual.partitions else "r", name): set() for name in actual.tables
    }
    for each in actual.grants:
        kind = "r" if each.kind == "p" and ("r", each.name) in there else each.kind
        there.setdefault((kind, each.name), set()).add((each.role, each.right))
    for (kind, name), found in sorted(there.items()):
        if kind == "f" and name not in EXECUTE:
            continue  # what other functions may do is decided by who runs them; those that decide otherwise are told
        wanted = {(role, right) for role, held in expected_rights(kind, name).items() for right in held}
        for role, right in sorted(found - wanted):
            yield from _beyond(Grant(kind, name, role, right))
        if kind in ("r", "p", "S"):
            for role, right in sorted(wanted - found):
                sentence = f"The role {role} lacks {right} on {name}."
                yield _found(Severity.OPEN, "right-missing", sentence, "Run manage.py migrate.")


def _beyond(held: Grant) -> Iterator[Finding]:
    """A right that is not in the table of rights. That others may read, or use the database at all, is their affair."""
    ours = held.role in (*RUNTIME, PUBLIC)
    if held.kind == "d" and (not ours or held.right != "CREATE"):
        return
    if held.kind in ("v", "m") and held.right == "SELECT":
        return
    what = {"n": "the schema ", "d": "the database ", "c": "columns of ", "f": "the function "}.get(held.kind, "")
    sentence = f"The role {held.role} has {held.right} on {what}{held.name}, which it should not have."
    reading = held.right in ("SELECT", "USAGE") and not ours
    if reading or held.role == OWNER:
        yield _found(Severity.NOTE, "right-of-others", sentence, "See that this is wanted.")
    else:
        yield _broken("right-unexpected", sentence, _MIGRATE)


def _roles(actual: Catalog) -> Iterator[Finding]:
    for role in RUNTIME:
        if role not in actual.roles:
            yield _broken("role-missing", f"The role {role} is missing.", "Start the service once; it makes its roles.")
        for power in actual.roles.get(role, []):
            yield _broken("role-powerful", f"The role {role} has {power}.", f"ALTER ROLE {role} NO{power}.")
    for role, what in actual.owned:
        yield _broken("role-owns", f"The role {role} owns the {what}.", f"Give it to {OWNER}.")
    for role, other in actual.memberships:
        if role in RUNTIME:
            yield _broken("role-member", f"The role {role} may act as {other}.", f"REVOKE {other} FROM {role}.")
        elif other == OWNER:
            sentence = f"The login {role} may act as {OWNER}, which owns the tables."
            advice = "With DATABASE_OWNER_URL for migrations, the service's own login need not."
            yield _found(Severity.NOTE, "login-may-own", sentence, advice)
    login, role, superuser = actual.session
    if superuser and login != role:
        sentence = f"The login {login} is a superuser: it steps into {role}, and may step out again."
        yield _found(Severity.NOTE, "login-superuser", sentence, "Give the service a login without that power.")


def _settings(actual: Catalog) -> Iterator[Finding]:
    for role, setting in actual.settings:
        name = setting.partition("=")[0]
        if name in _ODD_SETTINGS and (role in RUNTIME or name == "session_replication_role"):
            sentence = f"Sessions of {role} begin with {name} set, which can lead past the trail."
            yield _broken("setting-unexpected", sentence, f"ALTER ROLE … RESET {name}.")


def _broken(code: str, sentence: str, advice: str) -> Finding:
    return Finding(Severity.BROKEN, AREA, code, sentence, advice)


def _found(severity: Severity, code: str, sentence: str, advice: str) -> Finding:
    return Finding(severity, AREA, code, sentence, advice)
