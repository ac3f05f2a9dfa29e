"""Accounts and groups, role grants, tokens, sessions, sign-in links, and the counters behind throttling."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from access.roles import LABELS, Role
from access.scopes import SCOPES, TokenScope
from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject


class User(AbstractBaseUser):
    """A person or a service account. Somebody answers for a service account: its owner (none: the operator)."""

    last_login = None  # who signed in when is in the trail, not on the row
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = models.CharField(max_length=150)
    display_name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    is_service = models.BooleanField(default=False)
    owner = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="services")
    is_active = models.BooleanField(default=True)
    must_change_password = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=now)

    USERNAME_FIELD = "username"
    objects = BaseUserManager()

    class Meta:
        constraints = (
            models.UniqueConstraint(Lower("username"), name="access_user_username_once"),
            models.CheckConstraint(condition=Q(owner=None) | Q(is_service=True), name="access_user_owner_of_service"),
        )

    def __str__(self) -> str:
        return self.display_name or self.username

    def subject(self) -> Subject:
        holders = {str(self.pk), *([str(self.owner_id)] if self.owner_id else [])}
        return Subject(type="user", id=str(self.pk), involved={"holder": frozenset(holders)})


class FormerOwner(models.Model):
    """Who answered for a service account before: what it did then stays that person's doing."""

    service = models.ForeignKey(User, on_delete=models.PROTECT, related_name="former_owners")
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="former_services")
    until = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"until {self.until:%Y-%m-%d}"


class Group(models.Model):
    """People (and services) who hold the same roles: a role granted to the group is held by every member."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(Lower("name"), condition=Q(closed_at=None), name="access_group_name_once"),
        )

    def __str__(self) -> str:
        return self.name

    def subject(self) -> Subject:
        return Subject(type="group", id=str(self.pk), label=f"the group “{self.name}”")


class Membership(models.Model):
    """An account in a group, since whose doing, and until when."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    added_at = models.DateTimeField(default=now)
    removed_at = models.DateTimeField(null=True)
    removed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["group", "user"], condition=Q(removed_at=None), name="access_membership_once"
            ),
        )

    def __str__(self) -> str:
        return f"in {self.group_id} since {self.added_at:%Y-%m-%d}"


class RoleGrant(models.Model):
    """A role given to an account or a group, on the models whose name matches a pattern, for good or until a date."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="role_grants")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, null=True, related_name="role_grants")
    role = models.CharField(max_length=40, choices=[(role.value, label) for role, label in LABELS.items()])
    pattern = models.CharField(max_length=256, default="*")
    granted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    granted_at = models.DateTimeField(default=now)
    until = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(role__in=[role.value for role in Role]), name="access_rolegrant_role_known"
            ),
            models.CheckConstraint(
                condition=Q(until=None) | Q(until__gt=F("granted_at")), name="access_rolegrant_ends_later"
            ),
            models.UniqueConstraint(
                fields=["user", "role", "pattern"], condition=Q(revoked_at=None), name="access_rolegrant_once"
            ),
            models.UniqueConstraint(
                fields=["group", "role", "pattern"], condition=Q(revoked_at=None), name="access_rolegrant_group_once"
            ),
            models.CheckConstraint(
                condition=Q(user=None, group__isnull=False) | Q(user__isnull=False, group=None),
                name="access_rolegrant_one_holder",
            ),
        )

    def __str__(self) -> str:
        return f"{self.role} on {self.pattern}"

    def subject(self) -> Subject:
        return Subject(type="role_grant", id=str(self.pk), label=f"{LABELS[Role(self.role)]} on {self.pattern}")


class Token(models.Model):
    """A bearer token: only its SHA-256 digest and its first characters are kept. What it may do is its scope."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scope = models.CharField(
        max_length=20,
        choices=[(scope.value, words.label) for scope, words in SCOPES.items()],
        default=TokenScope.FULL.value,
    )
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(scope__in=[scope.value for scope in TokenScope]), name="access_token_scope_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.prefix}…"

    def subject(self) -> Subject:
        return Subject(type="token", id=str(self.pk), label=f"token {self.prefix}…")


class Session(models.Model):
    """A browser that is signed in. Its secret is in the browser and in Django's own session store only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="sessions")
    auth = models.CharField(max_length=10)  # password or link
    browser = models.CharField(max_length=100, blank=True)
    address = models.CharField(max_length=45, blank=True)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    def __str__(self) -> str:
        return f"session of {self.created_at:%Y-%m-%d}"


class LastUse(models.Model):
    """When a token or a session was last used, to the minute. Bookkeeping: no door, no entry."""

    id = models.UUIDField(primary_key=True, editable=False)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"used {self.at:%Y-%m-%d %H:%M}"


class SignInLink(models.Model):
    """A link that signs its holder in once; only its digest is kept."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.created_at:%Y-%m-%d}"

    def subject(self) -> Subject:
        return Subject(type="sign_in_link", id=str(self.pk))


class Attempt(models.Model):
    """A failed sign-in, by keyed digest of name or address, for throttling; swept after an hour."""

    key = models.CharField(max_length=64, db_index=True)
    at = models.DateTimeField(default=now, db_index=True)

    def __str__(self) -> str:
        return f"attempt at {self.at:%H:%M:%S}"
