"""Reads of accounts, groups, tokens and sessions. Lists start from what the asker may see."""

from uuid import UUID

from django.db.models import Count, Prefetch, Q, QuerySet

from access import checked, policy
from access.models import Group, Membership, RoleGrant, Session, Token, User
from audit.actors import Actor
from audit.clock import now
from audit.errors import Denied, NotFound, Unauthenticated
from audit.events import Action
from audit.subjects import INSTALLATION


def people(by: Actor) -> QuerySet[User]:
    """Every account with its owner, its grants and its groups; for those who look after accounts or check on them."""
    policy.require_read(by, Action.PEOPLE_VIEW, INSTALLATION)
    grants = RoleGrant.objects.filter(revoked_at=None).order_by("role", "pattern")
    return (
        User.objects.select_related("owner")
        .prefetch_related(Prefetch("role_grants", queryset=grants), Prefetch("memberships", queryset=_memberships()))
        .order_by("username")
    )


def _memberships() -> QuerySet[Membership]:
    """Who is in which open group now."""
    open_ones = Membership.objects.filter(removed_at=None, group__closed_at=None).select_related("group", "user")
    return open_ones.order_by("group__name", "user__username")


def person(by: Actor, username: str) -> User:
    """One account by its name, in any case, as ``people`` gives it."""
    user = people(by).filter(username__iexact=username).first() if "\x00" not in username else None
    if user is None:
        raise NotFound("There is no account with this user name.")
    return user


def user_by_name(username: str) -> User:
    """The account with this name, in any case; NotFound otherwise."""
    user = User.objects.filter(username__iexact=username).first()
    if user is None:
        raise NotFound("There is no account with this user name.")
    return user


def own_account(by: Actor) -> User:
    """The asker's account, with its groups. Raises NotFound for strangers and for Plimsoll itself."""
    checked.note()
    found = User.objects.prefetch_related(Prefetch("memberships", queryset=_memberships()))
    user = found.filter(pk=by.account).first() if by.account else None
    if user is None:
        raise NotFound("There is no account behind this request.")
    return user


def service_accounts(by: Actor) -> QuerySet[User]:
    """The service accounts the asker may see: all, or those they own."""
    checked.note()
    services = User.objects.filter(is_service=True).select_related("owner").order_by("username")
    grants = RoleGrant.objects.filter(revoked_at=None).order_by("role", "pattern")
    services = services.prefetch_related(
        Prefetch("role_grants", queryset=grants), Prefetch("memberships", queryset=_memberships())
    )
    if policy.why_not(by, Action.PEOPLE_VIEW, INSTALLATION) is None:
        return services
    if by.account is None:
        raise Unauthenticated("Sign in to see service accounts.")
    return services.filter(owner__pk=by.account)


def service_account(by: Actor, username: str) -> User:
    """One of ``service_accounts`` by its name; NotFound otherwise."""
    user = service_accounts(by).filter(username__iexact=username).first() if "\x00" not in username else None
    if user is None:
        raise NotFound("There is no service account with this user name.")
    return user


def groups(by: Actor) -> QuerySet[Group]:
    """The open groups with their roles and ``member_count``."""
    policy.require_read(by, Action.PEOPLE_VIEW, INSTALLATION)
    grants = RoleGrant.objects.filter(revoked_at=None).order_by("role", "pattern")
    inside = Count("memberships", filter=Q(memberships__removed_at=None))
    return (
        Group.objects.filter(closed_at=None)
        .annotate(member_count=inside)
        .prefetch_related(Prefetch("role_grants", queryset=grants))
        .order_by("name")
    )


def members(by: Actor, group: Group) -> QuerySet[Membership]:
    """Who is in a group now, with the account."""
    policy.require_read(by, Action.PEOPLE_VIEW, INSTALLATION)
    return _memberships().filter(group=group)


def tokens_of(by: Actor, user: User | None = None) -> QuerySet[Token]:
    """The tokens of an account (the asker's own unless said otherwise), newest first: for whoever may revoke them."""
    checked.note()
    if user is None:
        if by.account is None:
            return Token.objects.none()
        return Token.objects.filter(user_id=by.account).order_by("-created_at", "-pk")
    _check_sees(by, Action.TOKEN_REVOKE, user)
    return Token.objects.filter(user=user).order_by("-created_at", "-pk")


def token(by: Actor, key: UUID) -> Token:
    """One token that the asker may revoke; not theirs is NotFound."""
    checked.note()
    row = Token.objects.select_related("user").filter(pk=key).first()
    if row is None or policy.why_not(by, Action.TOKEN_REVOKE, row.user) is not None:
        raise NotFound("There is no such token.")
    return row


def sessions_of(by: Actor, user: User | None = None) -> QuerySet[Session]:
    """The sessions of an account that have not ended, newest first: for whoever may end them."""
    checked.note()
    if user is None:
        if by.account is None:
            return Session.objects.none()
        rows = Session.objects.filter(user_id=by.account)
    else:
        _check_sees(by, Action.SESSION_REVOKE, user)
        rows = Session.objects.filter(user=user)
    return rows.filter(ended_at=None, expires_at__gt=now()).order_by("-created_at", "-pk")


def session(by: Actor, key: UUID) -> Session:
    """One session that the asker may end; not theirs is NotFound."""
    checked.note()
    row = Session.objects.select_related("user").filter(pk=key, ended_at=None, expires_at__gt=now()).first()
    if row is None or policy.why_not(by, Action.SESSION_REVOKE, row.user) is not None:
        raise NotFound("There is no such session.")
    return row


def _check_sees(by: Actor, action: Action, user: User) -> None:
    refusal = policy.why_not(by, action, user)
    if refusal is not None:
        raise Denied(refusal, code="role_missing")


def display_names(accounts: set[str]) -> dict[str, str]:
    """``{account id: name shown to people}`` for pages; ids that are gone are missing."""
    rows = User.objects.filter(pk__in=accounts).only("id", "username", "display_name")
    return {str(user.pk): str(user) for user in rows}


def idle(by: Actor) -> QuerySet[User]:
    """Open accounts that can do nothing: no role, and no group that has one."""
    has_role = RoleGrant.objects.filter(revoked_at=None)
    through = Membership.objects.filter(removed_at=None, group__in=has_role.exclude(group=None).values("group_id"))
    return (
        people(by)
        .filter(is_active=True)
        .exclude(pk__in=has_role.exclude(user=None).values("user_id"))
        .exclude(pk__in=through.values("user_id"))
    )
