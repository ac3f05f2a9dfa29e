"""The random pseudonym under which the trail knows an account."""

from audit.actors import Actor
from audit.ids import pseudonym
from audit.models import Pseudonym


def actor_ref(by: Actor) -> str:
    """The pseudonym of an actor, made on first sight."""
    if by.account is None:
        return by.kind
    known = by.memo.get("ref")
    if isinstance(known, str):
        return known
    row = Pseudonym.objects.filter(account=by.account).first()
    if row is None:
        Pseudonym.objects.bulk_create([Pseudonym(ref=pseudonym(), account=by.account)], ignore_conflicts=True)
        row = Pseudonym.objects.get(account=by.account)
    by.memo["ref"] = row.ref
    return row.ref
