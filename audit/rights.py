"""Which database role may do what: one table, applied after every migration and compared by the system check.

Roles: *owner* migrates and owns the tables, *app* is the running service, *sequencer* builds and signs the log,
*eraser* deletes openings. Only what stands here is granted.
"""

from typing import Final

APP, SEQUENCER, ERASER = "plimsoll_app", "plimsoll_sequencer", "plimsoll_eraser"

# table → {role: privileges}; a table that is not named gives the app role the four ordinary rights.
TRAIL_RIGHTS: Final[dict[str, dict[str, frozenset[str]]]] = {
    "audit_event": {APP: frozenset({"SELECT", "INSERT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_pending": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "DELETE", "UPDATE"})},
    "audit_quarantine": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_leaf": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_tile": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_tree": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_checkpoint": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_cosignature": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_log_key": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_log_key_end": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_anchor_receipt": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT", "INSERT"})},
    "audit_minimum": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT"})},
    "audit_head": {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT"})},
    "audit_erasing": {APP: frozenset({"SELECT", "INSERT"}), ERASER: frozenset({"SELECT", "DELETE"})},
    # the sequencer appends as well (its ticks), with Plimsoll itself as the actor
    "audit_disclosure": {APP: frozenset({"SELECT", "INSERT"}), ERASER: frozenset({"SELECT", "DELETE"})},
    "audit_subject_key": {
        APP: frozenset({"SELECT", "INSERT"}),
        SEQUENCER: frozenset({"SELECT"}),
        ERASER: frozenset({"SELECT", "DELETE"}),
    },
    "audit_pseudonym": {
        APP: frozenset({"SELECT", "INSERT"}),
        SEQUENCER: frozenset({"SELECT"}),
        ERASER: frozenset({"SELECT", "DELETE"}),
    },
}
# Partitions are reached through ``audit_event``; nobody but the owner has a right on one.
PARTITION = "audit_event_"
ORDINARY = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
READ_ONLY_TABLES = frozenset({"django_migrations"})


def expected(table: str) -> dict[str, frozenset[str]]:
    """The rights each role should hold on ``table``."""
    if table in TRAIL_RIGHTS:
        return TRAIL_RIGHTS[table]
    if table.startswith(PARTITION):
        return {}
    if table in READ_ONLY_TABLES:
        return {APP: frozenset({"SELECT"}), SEQUENCER: frozenset({"SELECT"})}
    return {APP: ORDINARY}


def statements(tables: list[str]) -> list[str]:
    """The SQL that makes the actual rights equal the expected ones, safe to run again."""
    sql: list[str] = []
    for table in sorted(tables):
        sql.append(f'REVOKE ALL ON TABLE "{table}" FROM PUBLIC, {APP}, {SEQUENCER}, {ERASER}')
        for role, rights in sorted(expected(table).items()):
            sql.append(f'GRANT {", ".join(sorted(rights))} ON TABLE "{table}" TO {role}')
    sql.append(f"GRANT USAGE ON SCHEMA public TO {APP}, {SEQUENCER}, {ERASER}")
    sql.append(f"GRANT EXECUTE ON FUNCTION audit_make_months(date, integer) TO {SEQUENCER}")
    sql.append(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {APP}")
    return sql
