"""Erasing the account of a person: the row keeps its random id, so that who decided what stays one person's doing, and
loses everything that says who that was; the trail forgets its openings (``audit/erase.py``).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from access.actions.accounts import ERASED_MARK
from access.endings import an_administrator_stays
from access.models import LastUse, Membership, RoleGrant, Session, SignInLink, Token, User
from audit import door, erase, exports
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, Invalid
from audit.events import Action
from audit.ids import uuid7
from audit.subjects import Subject

MOST_REASON: Final = 2_000


class LegalBasis(StrEnum):
    """Why a person is erased: the grounds of Art. 17(1) GDPR that an employer or operator can meet here."""

    NO_LONGER_NECESSARY = "art_17_1_a"
    CONSENT_WITHDRAWN = "art_17_1_b"
    OBJECTION = "art_17_1_c"
    UNLAWFUL = "art_17_1_d"
    LEGAL_OBLIGATION = "art_17_1_e"


@dataclass(frozen=True)
class Erased:
    """The act's id, under which the trail records it, and how many openings it deletes."""

    act: str
    openings: int


def erase_person(*, by: Actor, user: User, legal_basis: LegalBasis, reason: str = "") -> Erased:
    """Forget who ``user`` is. The entry holds a count, a digest and the legal basis, and names nobody.

    Raises Conflict for one's own account, for one erased already, and for the last administrator; Invalid for a reason
    that is too long.
    """
    act = uuid7()
    with door.open(by, Action.PRIVACY_ERASE, on=user) as entry:
        person: User = entry.locked
        if len(reason) > MOST_REASON or "\x00" in reason:
            raise Invalid(f"The reason has at most {MOST_REASON} characters, none of them NUL.", code="bad_reason")
        _check_can_go(by, person)
        asked = erase.ask(str(person.pk), act)
        with an_administrator_stays():
            _empty(person, by, act.hex)
        entry.record(
            on=Subject(type="privacy", id=str(act)),
            after={"openings": asked.openings, "digest": asked.digest, "legal_basis": legal_basis.value},
            reason=reason,
        )
    exports.forget(str(user.pk))
    return Erased(act=str(act), openings=asked.openings)


def _check_can_go(by: Actor, person: User) -> None:
    if by.account == str(person.pk):
        raise Conflict("Nobody erases their own account: ask another compliance officer.", code="own_account")
    if person.username.startswith(ERASED_MARK) and not person.is_active:
        raise Conflict("This account was erased already.", code="erased_already")


def _empty(person: User, by: Actor, mark: str) -> None:
    """The row without its person: no name, no way in, no roles, no group, no trace of browsers."""
    person.username, person.display_name, person.email = f"{ERASED_MARK}{mark}", "", ""
    person.is_active = person.must_change_password = False
    person.set_unusable_password()
    person.save(update_fields=["username", "display_name", "email", "is_active", "must_change_password", "password"])
    moment = now()
    RoleGrant.objects.filter(user=person, revoked_at=None).update(revoked_at=moment, revoked_by_id=by.account)
    Membership.objects.filter(user=person, removed_at=None).update(removed_at=moment, removed_by_id=by.account)
    Token.objects.filter(user=person, revoked_at=None).update(revoked_at=moment, revoked_by_id=by.account)
    Token.objects.filter(user=person).update(name="erased")
    used = [
        *Token.objects.filter(user=person).values_list("pk", flat=True),
        *Session.objects.filter(user=person).values_list("pk", flat=True),
    ]
    LastUse.objects.filter(pk__in=used).delete()
    Session.objects.filter(user=person).delete()
    SignInLink.objects.filter(user=person).delete()
