"""Accounts, role grants, tokens, sign-in links, and the counters behind throttling."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from access.roles import LABELS, Role
from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject


class User(AbstractBaseUser):
    """A person or a service account."""

    last_login = None  # who signed in when is in the trail, not on the row
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = models.CharField(max_length=150)
    display_name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    is_service = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=now)

    USERNAME_FIELD = "username"
    objects = BaseUserManager()

    class Meta:
        constraints = (models.UniqueConstraint(Lower("username"), name="access_user_username_once"),)

    def __str__(self) -> str:
        return self.display_name or self.username

    def subject(self) -> Subject:
        return Subject(type="user", id=str(self.pk))


class RoleGrant(models.Model):
    """A role given to an account, on the models whose name matches a pattern, for good or until a date."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="role_grants")
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
        )

    def __str__(self) -> str:
        return f"{self.role} on {self.pattern}"

    def subject(self) -> Subject:
        return Subject(type="role_grant", id=str(self.pk), label=f"{LABELS[Role(self.role)]} on {self.pattern}")


class Token(models.Model):
    """A bearer token: only its SHA-256 digest and its first characters are kept."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.prefix}…"

    def subject(self) -> Subject:
        return Subject(type="token", id=str(self.pk), label=f"token {self.prefix}…")


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
