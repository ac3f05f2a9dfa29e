# ruff: noqa: S608, ISC004 - every query here is put together from constants of this file
"""What the database's own catalogue says of the trail's protection, read in one go. What should stand there is
``audit/protection.py``. Only system catalogues are read, so any role may.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection

_OURS: Final = "c.relnamespace = 'public'::regnamespace"
_WHO: Final = "CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END"


@dataclass(frozen=True)
class Trigger:
    """A trigger as it lies on a table: ``kind`` is the bit set of pg_trigger.tgtype; ``plain`` is without condition,
    columns, arguments and deferral.
    """

    table: str
    name: str
    function: str
    kind: int
    enabled: str
    plain: bool


@dataclass(frozen=True)
class Function:
    """A function of the schema ``public``."""

    name: str
    source: str
    definer: bool
    settings: tuple[str, ...]
    owner: str
    language: str


@dataclass(frozen=True)
class Grant:
    """One privilege on one thing. ``kind`` is pg_class.relkind, "c" of a column, "f" of a function, "n" of the schema,
    "d" of the database.
    """

    kind: str
    name: str
    role: str
    right: str


@dataclass(frozen=True)
class Table:
    """A table as the catalogue describes it."""

    name: str
    owner: str
    persistence: str
    row_security: bool
    oid: int


@dataclass(frozen=True)
class Catalog:
    """Everything ``protection.examine`` compares."""

    tables: dict[str, Table]
    partitions: dict[str, int]
    triggers: Sequence[Trigger]
    functions: Sequence[Function]
    grants: Sequence[Grant]
    roles: dict[str, list[str]]  # role: the powers it has beyond those of any role
    owned: Sequence[tuple[str, str]]  # (role, what it owns)
    memberships: Sequence[tuple[str, str]]  # (role, role it may act as)
    rules: Sequence[tuple[str, str]]
    policies: Sequence[tuple[str, str]]
    settings: Sequence[tuple[str, str]]  # (role, "name=value")
    unique: dict[str, set[tuple[str, ...]]]
    leaf_hash: str | None
    seen_as: str | None  # the schema in which this session finds ``audit_event``
    session: tuple[str, str, bool] = field(default=("", "", False))  # session_user, current_user, is it superuser


def read(runtime: Sequence[str]) -> Catalog:
    """The catalogue as it stands. ``runtime`` are the roles under which the service runs."""
    roles = list(runtime)
    return Catalog(
        tables={row[0]: Table(*row) for row in _all(_TABLES)},
        partitions=dict(_all(_PARTITIONS, _ROOT)),
        triggers=[Trigger(*row) for row in _all(_TRIGGERS)],
        functions=[_function(row) for row in _all(_FUNCTIONS)],
        grants=[Grant(*row) for query in _GRANTS for row in _all(query)],
        roles={row[0]: row[1] for row in _all(_ROLES, roles)},
        owned=_all(_OWNED, roles),
        memberships=_all(_MEMBERSHIPS),
        rules=_all(_RULES),
        policies=_all(_POLICIES),
        settings=_all(_SETTINGS, roles),
        unique=_unique(),
        leaf_hash=next(iter(_all(_LEAF_HASH)), (None,))[0],
        seen_as=next(iter(_all(_SEEN)), (None,))[0],
        session=_all(_SESSION)[0],
    )


def is_here() -> bool:
    """Whether the trail's tables are in this database at all."""
    return bool(_all("SELECT to_regclass('public.audit_event') IS NOT NULL")[0][0])


def migrated() -> set[str]:
    """The names of this app's migrations that were run here."""
    return {name for (name,) in _all("SELECT name FROM django_migrations WHERE app = 'audit'")}


def has_rows(table: str) -> bool:
    """Whether any event lies in this partition (the runtime role may not read a partition itself)."""
    found = _all("SELECT EXISTS (SELECT FROM audit_event WHERE tableoid = %s::regclass)", f"public.{table}")
    return bool(found[0][0])


def _function(row: Any) -> Function:  # Any: a row as the driver gives it
    name, source, definer, settings, owner, language = row
    return Function(name, source, definer, tuple(settings), owner, language)


def _all(query: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, list(values))
        return list(cursor.fetchall())


def _unique() -> dict[str, set[tuple[str, ...]]]:
    found: dict[str, set[tuple[str, ...]]] = {}
    for table, columns in _all(_UNIQUE):
        found.setdefault(table, set()).add(tuple(columns))
    return found


_ROOT: Final = "public.audit_event"
_TABLES: Final = (
    "SELECT c.relname, pg_get_userbyid(c.relowner), c.relpersistence, c.relrowsecurity OR c.relforcerowsecurity,"
    f" c.oid::bigint FROM pg_class c WHERE {_OURS} AND c.relkind IN ('r', 'p')"
)
_PARTITIONS: Final = (
    "SELECT c.relname, pg_relation_size(c.oid) FROM pg_partition_tree(%s) t JOIN pg_class c ON c.oid = t.relid"
)
_SEEN: Final = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('audit_event')"
_TRIGGERS: Final = (
    "SELECT c.relname, t.tgname, t.tgfoid::regproc::text, t.tgtype::int, t.tgenabled, t.tgqual IS NULL"
    " AND t.tgattr = ''::int2vector AND t.tgnargs = 0 AND t.tgconstraint = 0 AND NOT t.tgdeferrable"
    f" FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE {_OURS} AND NOT t.tgisinternal"
)
_FUNCTIONS: Final = (
    "SELECT p.proname, p.prosrc, p.prosecdef, coalesce(p.proconfig, '{}'), pg_get_userbyid(p.proowner), l.lanname"
    " FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'public'::regnamespace"
    " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid"
    " AND d.deptype = 'e')"
)
_GRANTS: Final = (
    f"SELECT c.relkind, c.relname, {_WHO}, a.privilege_type FROM pg_class c,"
    " aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END, c.relowner))) a"
    f" WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND a.grantee <> c.relowner",
    f"SELECT 'c', c.relname, {_WHO}, a.privilege_type FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid,"
    f" aclexplode(t.attacl) a WHERE {_OURS} AND a.grantee <> c.relowner",
    f"SELECT 'f', p.proname, {_WHO}, a.privilege_type FROM pg_proc p,"
    " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
    " WHERE p.pronamespace = 'public'::regnamespace AND a.grantee <> p.proowner",
    f"SELECT 'n', n.nspname, {_WHO}, a.privilege_type FROM pg_namespace n,"
    " aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a"
    " WHERE n.nspname = 'public' AND a.grantee <> n.nspowner",
    f"SELECT 'd', d.datname, {_WHO}, a.privilege_type FROM pg_database d,"
    " aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a"
    " WHERE d.datname = current_database() AND a.grantee <> d.datdba",
)
_ROLES: Final = (
    "SELECT rolname, array_remove(ARRAY[CASE WHEN rolsuper THEN 'SUPERUSER' END,"
    " CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN rolreplication THEN 'REPLICATION' END,"
    " CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END], NULL)"
    " FROM pg_roles WHERE rolname = ANY(%s)"
)
_OWNED: Final = (
    "SELECT r.rolname, o.what FROM pg_roles r JOIN ("
    "SELECT relowner AS owner, 'table ' || oid::regclass::text AS what FROM pg_class WHERE relpersistence <> 't'"
    " UNION ALL SELECT proowner, 'function ' || oid::regproc::text FROM pg_proc"
    " UNION ALL SELECT nspowner, 'schema ' || nspname FROM pg_namespace"
    " WHERE nspname NOT LIKE 'pg\\_temp%%' AND nspname NOT LIKE 'pg\\_toast\\_temp%%'"
    " UNION ALL SELECT datdba, 'database ' || datname FROM pg_database WHERE datname = current_database()"
    ") o ON o.owner = r.oid WHERE r.rolname = ANY(%s) ORDER BY 1, 2"
)
_MEMBERSHIPS: Final = (
    "WITH RECURSIVE chain (role, acts_as) AS (SELECT member, roleid FROM pg_auth_members UNION"
    " SELECT c.role, m.roleid FROM chain c JOIN pg_auth_members m ON m.member = c.acts_as)"
    " SELECT pg_get_userbyid(role), pg_get_userbyid(acts_as) FROM chain ORDER BY 1, 2"
)
_RULES: Final = (
    f"SELECT c.relname, r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE {_OURS}"
    " AND c.relkind IN ('r', 'p')"
)
_POLICIES: Final = f"SELECT c.relname, p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE {_OURS}"
_SETTINGS: Final = (
    "SELECT CASE WHEN s.setrole = 0 THEN 'everyone' ELSE pg_get_userbyid(s.setrole) END, each"
    " FROM pg_db_role_setting s, unnest(s.setconfig) AS each WHERE s.setdatabase IN (0,"
    " (SELECT oid FROM pg_database WHERE datname = current_database()))"
    " AND (s.setrole = 0 OR pg_get_userbyid(s.setrole) = ANY(%s))"
)
_UNIQUE: Final = (
    "SELECT c.relname, array_agg(t.attname::text ORDER BY k.place) FROM pg_index i"
    " JOIN pg_class c ON c.oid = i.indrelid, unnest(i.indkey) WITH ORDINALITY AS k (column_number, place)"
    " JOIN pg_attribute t ON t.attnum = k.column_number"
    f" WHERE {_OURS} AND t.attrelid = i.indrelid AND i.indisunique AND i.indisvalid AND i.indimmediate"
    " AND i.indpred IS NULL AND i.indexprs IS NULL GROUP BY c.relname, i.indexrelid"
)
_LEAF_HASH: Final = (
    "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute t"
    " ON t.attrelid = d.adrelid AND t.attnum = d.adnum"
    " WHERE d.adrelid = 'public.audit_event'::regclass AND t.attname = 'leaf_hash' AND t.attgenerated = 's'"
)
_SESSION: Final = "SELECT session_user, current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)"
