"""*Publish*: the third step of the log. Signs committed roots, and never two that do not belong to one history.

Before a root is signed it is rebuilt from the leaf hashes, starting at what was signed before: by the high-water mark
beside the key, and by the newest checkpoint in the database. A database that was tampered with, or restored from an
older copy, gets no signature. Ed25519 is deterministic, so signing one root twice gives one note.

Not here: taking events in (``audit/sequencer.py``), what outside parties hold (``audit/anchoring.py``).
"""

import logging
from collections.abc import Iterator, Sequence

from django.db import connection, transaction

from audit import clock, highwater, keys, merkle, rotation, sequencer
from audit.errors import Conflict
from audit.events import LOGS
from audit.highwater import Mark
from audit.models import Checkpoint, LogKey, Tree
from audit.note import Checkpoint as CheckpointText
from audit.note import NoteError, SigningKey, Verifier, open_note, parse_checkpoint, sign_all

log = logging.getLogger("plimsoll.sequencer")

CHUNK = 20_000


class SigningRefused(Conflict):
    """The log must not be signed as it stands: that would continue a history other than the one signed before."""

    code = "signing_refused"


def publish(log_name: str, signers: Sequence[SigningKey]) -> int | None:
    """Sign the newest committed root that has no checkpoint yet, with every key announced for its size.

    The size signed, None when there is nothing to sign. Raises SigningRefused when it must not be signed.
    """
    tree = newest(log_name)
    if tree is None or Checkpoint.objects.filter(log=log_name, size=tree.size).exists():
        return None
    _examine(log_name, signers, tree)
    root = bytes(tree.root)
    text = CheckpointText(origin=sequencer.origin(log_name), size=tree.size, root=root).text()
    with transaction.atomic(durable=True):
        rotation.hold(log_name)  # no key is retired between choosing it and storing what it signed
        active = rotation.active(log_name, signers, tree.size)
        if not active:
            raise SigningRefused(
                f"No key in the sequencer's folder is announced for size {tree.size} of the log {log_name}."
                " Bring the key back from its backup; a new one would not continue this log."
            )
        for key in active:
            highwater.write(key, Mark(tree.size, root))
        Checkpoint.objects.bulk_create(
            [Checkpoint(log=log_name, size=tree.size, note=sign_all(text, active), made_at=clock.now())],
            ignore_conflicts=True,
        )
    return tree.size


def empty_note(log_name: str, signers: Sequence[SigningKey]) -> str:
    """A signed note over the empty log, which has but one root: something to ask a witness with."""
    text = CheckpointText(origin=sequencer.origin(log_name), size=0, root=merkle.EMPTY_ROOT).text()
    return sign_all(text, signers)


def newest(log_name: str) -> Tree | None:
    """The newest committed tree of a log."""
    return Tree.objects.filter(log=log_name).order_by("-size").first()


def unsigned() -> list[str]:
    """The logs whose newest tree has no checkpoint: the one cheap question between two rounds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) AS name"
            " WHERE coalesce((SELECT max(size) FROM audit_tree WHERE log = name), 0)"
            " > coalesce((SELECT max(size) FROM audit_checkpoint WHERE log = name), 0)",
            [list(LOGS)],
        )
        return [row[0] for row in cursor.fetchall()]


def signing_keys() -> dict[str, list[SigningKey]]:
    """The keys of every log, the first one made and announced on first use. Only the sequencer's process calls this.

    Raises KeyFileError when a key cannot be used, or is missing although the log was signed before.
    """
    return {log_name: _keys_of(log_name) for log_name in LOGS}


def _keys_of(log_name: str) -> list[SigningKey]:
    origin = sequencer.origin(log_name)
    found = keys.signing_keys(origin)
    announced = [row for row in LogKey.objects.filter(log=log_name) if row.verifier.startswith(f"{origin}+")]
    if not announced:
        first = found[0] if found else keys.first_key(origin)
        size, _ = sequencer.head(log_name)
        LogKey.objects.bulk_create(
            [LogKey(verifier=first.verifier, log=log_name, from_size=size)], ignore_conflicts=True
        )
        return found or [first]
    if not {key.verifier for key in found} & {row.verifier for row in announced}:
        raise keys.KeyFileError(
            f"The log {log_name} was signed before, and none of its keys is in {keys.signing_folder().name}/. Bring"
            " the folder back from the backup of the keys; a new key would not continue this log."
        )
    return found


# -- what was signed before must be the beginning of what is there ---------------------------------------------------


def examine(log_name: str, signers: Sequence[SigningKey]) -> None:
    """Raise SigningRefused unless the newest tree continues everything that was signed before."""
    _examine(log_name, signers, newest(log_name))


def _examine(log_name: str, signers: Sequence[SigningKey], tree: Tree | None) -> None:
    size = tree.size if tree else 0
    marks = _marks(log_name, signers)
    beyond = [mark for mark in marks if mark.size > size]
    if beyond:
        raise SigningRefused(
            f"The log {log_name} was signed up to size {max(beyond).size}, and the database holds only {size}: it was"
            " restored from an older copy or its end was cut off. Nothing is signed until the newer database is back."
        )
    if tree is None:
        return
    start = marks[0].size if marks else 0
    frontier = frontier_at(log_name, start)
    for mark in [*marks, Mark(size, bytes(tree.root))]:
        frontier = _extended(log_name, frontier, start, mark.size)
        start = mark.size
        if _root(frontier, start) != mark.root:
            raise SigningRefused(_another_history(log_name, mark, size))


def _another_history(log_name: str, mark: Mark, size: int) -> str:
    if mark.size == size:
        return (
            f"The root of the log {log_name} at size {size} is not the one its entries give, or not the one that was"
            " signed. Nothing is signed: the database was changed, or holds another history."
        )
    return (
        f"The log {log_name} was signed at size {mark.size} with another root than its first {mark.size} entries have"
        " now. Nothing is signed: the database was changed, or holds another history."
    )


def _marks(log_name: str, signers: Sequence[SigningKey]) -> list[Mark]:
    """Everything this log is known to be signed at, smallest first, each once."""
    marks = {mark for key in signers if (mark := highwater.read(key)) is not None}
    stored = Checkpoint.objects.filter(log=log_name).order_by("-size").first()
    if stored is not None:
        marks.add(_mark_of(log_name, stored))
    return sorted(mark for mark in marks if mark.size > 0)


def _mark_of(log_name: str, stored: Checkpoint) -> Mark:
    """Size and root of a stored checkpoint. Raises SigningRefused when no announced key signed it."""
    known = [Verifier.parse(row.verifier) for row in LogKey.objects.filter(log=log_name)]
    try:
        checkpoint = parse_checkpoint(open_note(stored.note, known)[0])
    except NoteError:
        checkpoint = None
    if checkpoint is None or checkpoint.size != stored.size:
        raise SigningRefused(
            f"The checkpoint of size {stored.size} in the log {log_name} is not signed by a key of this log: the"
            " database was changed. Nothing is signed."
        )
    return Mark(checkpoint.size, checkpoint.root)


def frontier_at(log_name: str, size: int) -> list[bytes]:
    """The compact range over the first ``size`` entries, from the nearest stored tree and the leaf hashes after it."""
    nearest = Tree.objects.filter(log=log_name, size__lte=size).order_by("-size").first()
    if nearest is None:
        return _extended(log_name, [], 0, size)
    return _extended(log_name, [bytes(part) for part in nearest.frontier], nearest.size, size)


def root_at(log_name: str, size: int) -> bytes | None:
    """The root over the first ``size`` entries as they stand in the database, None when no tree stands there."""
    return _root(frontier_at(log_name, size), size)


def _root(frontier: list[bytes], size: int) -> bytes | None:
    try:
        return merkle.root_of(frontier, size)
    except merkle.MerkleError:
        return None


def _extended(log_name: str, frontier: list[bytes], start: int, end: int) -> list[bytes]:
    for first in range(start, end, CHUNK):
        hashes = list(_hashes(log_name, first, min(first + CHUNK, end)))
        if len(hashes) != min(CHUNK, end - first):
            raise SigningRefused(
                f"Entries between {first} and {min(first + CHUNK, end)} of the log {log_name} have no leaf hash: the"
                " database was changed. Nothing is signed."
            )
        try:
            frontier = merkle.extend(frontier, first, hashes)
        except merkle.MerkleError:
            raise SigningRefused(
                f"The tree of the log {log_name} stored for size {first} is not a tree: the database was changed."
                " Nothing is signed."
            ) from None
    return frontier


def _hashes(log_name: str, start: int, end: int) -> Iterator[bytes]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT leaf_hash FROM audit_leaf WHERE log = %s AND seq >= %s AND seq < %s ORDER BY seq",
            [log_name, start, end],
        )
        for row in cursor:
            yield bytes(row[0])
