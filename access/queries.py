"""Reads of accounts and grants. Lists start from what the asker may see."""

from django.db.models import Prefetch, QuerySet

from access import checked, policy
from access.models import RoleGrant, Token, User
from audit.actors import Actor
from audit.errors import NotFound
from audit.events import Action
from audit.subjects import INSTALLATION


def people(by: Actor) -> QuerySet[User]:
    """Every account with its grants in force; for administrators and auditors."""
    policy.require_read(by, Action.PEOPLE_VIEW, INSTALLATION)
    live = RoleGrant.objects.filter(revoked_at=None).order_by("role", "pattern")
    return User.objects.prefetch_related(Prefetch("role_grants", queryset=live)).order_by("username")


def user_by_name(username: str) -> User:
    """The account with this name, in any case; NotFound otherwise."""
    user = User.objects.filter(username__iexact=username).first()
    if user is None:
        raise NotFound("There is no account with this user name.")
    return user


def tokens_of(by: Actor) -> QuerySet[Token]:
    """The asker's own tokens, newest first."""
    checked.note()
    if by.account is None:
        return Token.objects.none()
    return Token.objects.filter(user_id=by.account).order_by("-created_at")


def display_names(accounts: set[str]) -> dict[str, str]:
    """``{account id: name shown to people}`` for pages; ids that are gone are missing."""
    rows = User.objects.filter(pk__in=accounts).only("id", "username", "display_name")
    return {str(user.pk): str(user) for user in rows}
