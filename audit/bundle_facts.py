"""What a bundle says of its log: checkpoint, keys, who outside confirmed it, the auditor's earlier checkpoint."""

from collections.abc import Mapping

from django.conf import settings
from django.db import connection

from audit import anchors, leaves, published, rotation, tiles
from audit.bundle import Confirmation, Facts, Previous
from audit.clock import rfc3339
from audit.errors import Invalid, NotFound
from audit.models import Checkpoint


def facts(
    log: str, size: int, previous_size: int | None, *, query: Mapping[str, object], exporter: str, made_at: str
) -> Facts:
    """The facts of the log at a signed ``size``. Raises Invalid for a previous size without a checkpoint."""
    trust = rotation.trust(log)
    return Facts(
        log=log,
        origin=trust["origin"],
        size=size,
        note=published.at(log, size).note,
        keys=trust["keys"],
        witnesses=trust["witnesses"],
        confirmations=confirmations(log, size),
        minimum_index=leaves.minimum_index(log),
        previous=None if previous_size is None else previous(log, previous_size, size),
        query=query,
        exporter=exporter,
        made_at=made_at,
        version=settings.PLIMSOLL_VERSION,
    )


def previous(log: str, old: int, size: int) -> Previous:
    """The auditor's last checkpoint, and the proof from there."""
    if not 0 < old <= size:
        raise Invalid(
            f"The size of your last checkpoint is a number from 1 to {size:,}, the size that is signed now.",
            code="bad_previous_size",
        )
    try:
        note = published.at(log, old).note
    except NotFound:
        below = Checkpoint.objects.filter(log=log, size__lt=old).order_by("-size").first()
        above = Checkpoint.objects.filter(log=log, size__gt=old, size__lte=size).order_by("size").first()
        near = " and ".join(f"{each.size:,}" for each in (below, above) if each)
        raise Invalid(
            f"No checkpoint of this log was signed at size {old:,}; the nearest are at {near}.",
            code="bad_previous_size",
        ) from None
    return Previous(old, note, tiles.consistency(log, old, size))


def confirmations(log: str, size: int) -> list[Confirmation]:
    """The newest receipt of each configured anchor up to ``size``, where its root is the one that the log has."""
    configured = [anchor for anchor in anchors.configured() if log in anchor.logs]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (r.anchor) r.anchor, r.kind, r.size, r.root, r.made_at, r.receipt"
            " FROM audit_anchor_receipt r JOIN audit_tree t ON t.log = r.log AND t.size = r.size AND t.root = r.root"
            " WHERE r.log = %s AND r.size <= %s"
            " AND (r.anchor, r.kind) IN (SELECT * FROM unnest(%s::text[], %s::text[])) ORDER BY r.anchor, r.size DESC",
            [log, size, [each.name for each in configured], [each.kind for each in configured]],
        )
        return [
            Confirmation(
                anchor=row[0], kind=row[1], size=row[2], root=bytes(row[3]).hex(), at=rfc3339(row[4]), receipt=row[5]
            )
            for row in cursor.fetchall()
        ]
