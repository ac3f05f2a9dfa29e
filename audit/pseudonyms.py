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
    by.memo["ref"] = ref = ref_of(by.account)
    return ref


def ref_of(account: str) -> str:
    """The pseudonym of an account, made on first sight."""
    row = Pseudonym.objects.filter(account=account).first()
    if row is None:
        Pseudonym.objects.bulk_create([Pseudonym(ref=pseudonym(), account=account)], ignore_conflicts=True)
        row = Pseudonym.objects.get(account=account)
    return row.ref
