"""Roles and databases: made if missing, left alone if there. Safe to run at every start.

Two shapes. On the embedded server every role is a login with its own database where it needs one. On a server of
one's own the roles are groups that the given login steps into, and tracking and queue get a schema each. Run as a
program by the supervisor, so that the supervisor itself stays free of a database driver.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from deploy.run.addresses import DJANGO_ROLES, ROLES, ROOMS
from deploy.run.environment import StartRefusedError

OLDEST = 150_000

Connection = psycopg.Connection[Any]


def prepare(conninfo: str) -> None:
    """Make the roles and databases of the embedded server. `conninfo` is its superuser's."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        _make_roles(connection, ROLES, "LOGIN")
        owners = {"plimsoll": DJANGO_ROLES["PLIMSOLL_DB_OWNER"], **{room: role for role, room in ROOMS.items()}}
        present = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        for database, owner in owners.items():
            if database in present:
                continue
            named = {"database": sql.Identifier(database), "owner": sql.Identifier(owner)}
            # CREATE DATABASE is its own transaction: revoking right after it is as close as it gets, on a server that
            # nobody but the installing account can reach.
            connection.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner}").format(**named))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {database} FROM PUBLIC").format(**named))
        for role in DJANGO_ROLES.values():
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE plimsoll TO {}").format(sql.Identifier(role)))


def prepare_server(database_url: str, owner_url: str | None) -> None:
    """Make the roles and schemas on a server of one's own. Raises StartRefusedError when the login may not."""
    try:
        with psycopg.connect(owner_url or database_url, autocommit=True, connect_timeout=10) as connection:
            if connection.info.server_version < OLDEST:
                raise StartRefusedError(
                    f"This PostgreSQL is version {connection.info.server_version // 10000}; 15 or later is needed."
                )
            runtime = _login_name(database_url, connection)
            if _missing(connection, ROLES):
                _make_roles_on_server(connection)
            _join(connection, runtime)
            _make_rooms(connection, runtime)
    except psycopg.OperationalError as error:
        raise StartRefusedError(f"PostgreSQL cannot be reached with DATABASE_URL: {_first_line(error)}.") from None


def _login_name(database_url: str, connection: Connection) -> str:
    return psycopg.conninfo.conninfo_to_dict(database_url).get("user") or connection.info.user  # type: ignore[return-value]


def _missing(connection: Connection, roles: Iterable[str]) -> list[str]:
    present = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    return [role for role in roles if role not in present]


def _make_roles(connection: Connection, roles: Iterable[str], kind: str) -> None:
    for role in _missing(connection, roles):
        connection.execute(sql.SQL("CREATE ROLE {} " + kind).format(sql.Identifier(role)))


def _make_roles_on_server(connection: Connection) -> None:
    try:
        _make_roles(connection, ROLES, "NOLOGIN")
    except psycopg.errors.InsufficientPrivilege:
        raise StartRefusedError(
            f"The login {connection.info.user} may not create roles. Give it CREATEROLE, or set DATABASE_OWNER_URL to "
            "a login that may, or create these roles yourself and grant them to it: " + ", ".join(ROLES) + "."
        ) from None


def _join(connection: Connection, runtime: str) -> None:
    """Let the logins step into the roles. With two logins, the runtime one cannot become the owner of the tables."""
    owner_login = connection.info.user
    owner_role = DJANGO_ROLES["PLIMSOLL_DB_OWNER"]
    wanted = [(role, runtime) for role in ROLES if role != owner_role or runtime == owner_login]
    wanted += [(role, owner_login) for role in ROLES if runtime != owner_login]
    for role, login in wanted:
        (member,) = connection.execute(
            "SELECT pg_has_role(%s, %s, %s)", [login, role, _stepping(connection)]
        ).fetchone() or (False,)
        if member:
            continue
        try:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login)))
        except psycopg.errors.InsufficientPrivilege:
            raise StartRefusedError(
                f"The login {login} cannot act as {role}. Run, as an administrator: GRANT {role} TO {login};"
            ) from None


def _stepping(connection: Connection) -> str:
    # until 15 membership alone allowed SET ROLE
    return "SET" if connection.info.server_version >= 160_000 else "MEMBER"


def _make_rooms(connection: Connection, runtime: str) -> None:
    """The schemas, and the owner role's right to make tables. Both are for the owner of the database to give."""
    database = sql.Identifier(connection.info.dbname)
    owner = sql.Identifier(DJANGO_ROLES["PLIMSOLL_DB_OWNER"])
    present = {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace")}
    try:
        for role, room in ROOMS.items():
            if room not in present:
                named = {"room": sql.Identifier(room), "role": sql.Identifier(role)}
                connection.execute(sql.SQL("CREATE SCHEMA {room} AUTHORIZATION {role}").format(**named))
        allowed = connection.execute(
            "SELECT has_schema_privilege(%s, 'public', 'CREATE') "
            "AND has_database_privilege(%s, current_database(), 'CREATE')",
            [DJANGO_ROLES["PLIMSOLL_DB_OWNER"]] * 2,
        ).fetchone()
        if allowed != (True,):
            connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, owner))
            connection.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(owner))
    except psycopg.errors.InsufficientPrivilege as error:
        raise StartRefusedError(
            f"The login {connection.info.user} may not arrange the database {connection.info.dbname} "
            f"({_first_line(error)}). "
            f"Make it the owner: ALTER DATABASE {connection.info.dbname} OWNER TO {connection.info.user};"
        ) from None


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")


def main() -> int:
    """`python -m deploy.run.databases`: asks in environment variables, so that no password is on a command line."""
    try:
        if "PLIMSOLL_ADMIN_CONNINFO" in os.environ:
            prepare(os.environ["PLIMSOLL_ADMIN_CONNINFO"])
        else:
            prepare_server(os.environ["DATABASE_URL"], os.environ.get("DATABASE_OWNER_URL") or None)
    except (StartRefusedError, psycopg.Error) as refusal:
        print(json.dumps({"level": "error", "message": str(refusal)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
