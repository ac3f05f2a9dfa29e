"""The shapes of accounts, groups, roles, tokens and sessions over REST, for requests, answers and the schema."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from access.actions.groups import MOST_DESCRIPTION, MOST_NAME
from access.erasing import MOST_REASON, LegalBasis
from access.roles import Role
from access.scopes import TokenScope
from web.rest.fields import TextField

# The schema names this set of choices (settings: ENUM_NAME_OVERRIDES).
ROLES = [role.value for role in Role]
SCOPES = [scope.value for scope in TokenScope]
AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="The `next` of the page before; empty for the first.")


class RoleSerializer(serializers.Serializer[Any]):
    """A role held on a name pattern."""

    role = serializers.ChoiceField(choices=ROLES)
    pattern = serializers.CharField(max_length=256, default="*")
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)


class HeldRoleSerializer(RoleSerializer):
    """A role grant; its id is what revokes it."""

    id = serializers.UUIDField()


class PersonSerializer(serializers.Serializer[Any]):
    """An account, its own roles and its groups."""

    username = serializers.CharField()
    display_name = serializers.CharField(allow_blank=True)
    is_service = serializers.BooleanField()
    owner = serializers.CharField(allow_null=True)
    is_active = serializers.BooleanField()
    roles = HeldRoleSerializer(many=True)
    groups = serializers.ListField(child=serializers.CharField())


class PersonListSerializer(serializers.Serializer[Any]):
    """Accounts in order of their names; ``next`` is null on the last page."""

    people = PersonSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class ServiceListSerializer(serializers.Serializer[Any]):
    """Service accounts in order of their names; ``next`` is null on the last page."""

    service_accounts = PersonSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class NewPersonSerializer(serializers.Serializer[Any]):
    """What making an account takes; without a password it signs in by token or link only."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(
        max_length=1000, required=False, allow_null=True, default=None, trim_whitespace=False
    )
    must_change_password = serializers.BooleanField(default=False)
    display_name = TextField(max_length=150, allow_blank=True, default="")
    email = serializers.EmailField(max_length=254, allow_blank=True, default="")
    is_service = serializers.BooleanField(default=False)


class NewServiceSerializer(serializers.Serializer[Any]):
    """What making a service account takes; whoever makes it owns it unless ``owner`` names another."""

    username = serializers.CharField(max_length=150)
    display_name = TextField(max_length=150, allow_blank=True, default="")
    owner = serializers.CharField(max_length=150, required=False, allow_null=True, default=None)


class OwnerSerializer(serializers.Serializer[Any]):
    """Who is to answer for a service account."""

    owner = serializers.CharField(max_length=150)


class WhySerializer(serializers.Serializer[Any]):
    """Why, for the trail; name nobody."""

    reason = TextField(max_length=MOST_REASON, allow_blank=True, default="")


class PersonErasureSerializer(WhySerializer):
    """Why a person is to be forgotten."""

    legal_basis = serializers.ChoiceField(choices=[basis.value for basis in LegalBasis])


class ErasedSerializer(serializers.Serializer[Any]):
    """The act, as the trail records it, and how many openings it deleted."""

    act = serializers.UUIDField()
    openings = serializers.IntegerField()


class SignInLinkSerializer(serializers.Serializer[Any]):
    """A link that signs its holder in once within 24 hours, shown this once."""

    link = serializers.URLField()


class MeRoleSerializer(RoleSerializer):
    """A role in force; ``group`` when it is held through one."""

    group = serializers.CharField(allow_blank=True)


class MeSerializer(serializers.Serializer[Any]):
    """Who the caller is; ``token_scope`` is empty unless a token narrows what they may."""

    username = serializers.CharField()
    auth = serializers.CharField()
    token_scope = serializers.CharField(allow_blank=True)
    roles = MeRoleSerializer(many=True)


class NewPasswordSerializer(serializers.Serializer[Any]):
    """The password of now (null when there is none) and the new one."""

    current = serializers.CharField(
        max_length=1000, required=False, allow_null=True, default=None, trim_whitespace=False
    )
    new = serializers.CharField(max_length=1000, trim_whitespace=False)


class NewTokenSerializer(serializers.Serializer[Any]):
    """What a new token is called, what it may be used for, and how long."""

    name = TextField(max_length=100)
    scope = serializers.ChoiceField(choices=SCOPES, default=TokenScope.FULL.value)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class TokenSerializer(serializers.Serializer[Any]):
    """A token without its secret."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    scope = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class MadeTokenSerializer(TokenSerializer):
    """A token with its ``secret``, which is in the answer that makes it and never again."""

    secret = serializers.CharField()


class TokenListSerializer(serializers.Serializer[Any]):
    """Tokens, newest first."""

    tokens = TokenSerializer(many=True)


class SessionSerializer(serializers.Serializer[Any]):
    """A browser that is signed in."""

    id = serializers.UUIDField()
    auth = serializers.CharField()
    browser = serializers.CharField(allow_blank=True)
    address = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class SessionListSerializer(serializers.Serializer[Any]):
    """Sessions that have not ended, newest first."""

    sessions = SessionSerializer(many=True)


class EndedSerializer(serializers.Serializer[Any]):
    """How many sessions ended."""

    sessions_ended = serializers.IntegerField()


class NewGroupSerializer(serializers.Serializer[Any]):
    """A group's name, unique among open groups in any case, and what it is for."""

    name = TextField(max_length=MOST_NAME)
    description = TextField(max_length=MOST_DESCRIPTION, allow_blank=True, default="")


class GroupSerializer(serializers.Serializer[Any]):
    """A group, its roles and how many are in it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    member_count = serializers.IntegerField()
    roles = HeldRoleSerializer(many=True)


class GroupListSerializer(serializers.Serializer[Any]):
    """The open groups."""

    groups = GroupSerializer(many=True)


class OneGroupSerializer(GroupSerializer):
    """A group with the user names of its members."""

    members = serializers.ListField(child=serializers.CharField())


class MemberSerializer(serializers.Serializer[Any]):
    """An account to put into a group."""

    username = serializers.CharField(max_length=150)


class HolderSerializer(serializers.Serializer[Any]):
    """An account, the grants through which it may, and the refusal it would hear all the same."""

    username = serializers.CharField()
    display_name = serializers.CharField(allow_blank=True)
    is_service = serializers.BooleanField()
    allowed = serializers.BooleanField()
    through = serializers.ListField(child=serializers.CharField())
    why_not = serializers.CharField(allow_null=True)


class AnswerSerializer(serializers.Serializer[Any]):
    """Who can do this: the rule in words, the groups and the accounts that hold a role for it."""

    action = serializers.CharField()
    words = serializers.CharField()
    model = serializers.CharField(allow_blank=True)
    rule = serializers.CharField()
    unless = serializers.ListField(child=serializers.CharField())
    groups = serializers.ListField(child=serializers.CharField())
    accounts = HolderSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class RuleSerializer(serializers.Serializer[Any]):
    """One row of the policy table."""

    action = serializers.CharField()
    words = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    anyone = serializers.BooleanField()
    own = serializers.BooleanField()
    system = serializers.BooleanField()
    unless = serializers.ListField(child=serializers.CharField())
    token_scopes = serializers.ListField(child=serializers.CharField())


class PolicySerializer(serializers.Serializer[Any]):
    """The policy table."""

    actions = RuleSerializer(many=True)
