"""The form for a role grant, and its rows, as the pages of an account and of a group show them."""

from datetime import date, datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.utils.timezone import get_current_timezone

from access import actions
from access.models import Group, RoleGrant, User
from access.roles import DESCRIPTIONS, LABELS, Role
from audit.actors import Actor
from audit.clock import now
from audit.errors import DomainError, Invalid
from web.pages.forms import PageForm, TextField
from web.pages.names import Names, name_in

_FIELDS: Final = {"bad_pattern": "pattern", "bad_until": "until", "role_held": "role"}


class GrantForm(PageForm):
    """A role, on which names, for how long."""

    role = forms.ChoiceField(
        label="Role",
        choices=[(role.value, f"{LABELS[role].capitalize()}: {DESCRIPTIONS[role]}") for role in Role],
        error_messages={"required": "Choose a role.", "invalid_choice": "There is no such role."},
    )
    pattern = TextField(
        label="On names like",
        help_text="Models and data sets whose name matches; * is everything, credit-* all that begin so.",
        required=False,
        initial="*",
    )
    until = forms.DateField(
        label="Until the end of",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": "Enter a date like 2026-03-09."},
    )
    reason = TextField(label="Why", help_text="It is recorded.", required=False, max_length=1000)

    def refused(self, error: DomainError, field: str | None = None) -> None:
        """Show the refusal beside the field it is about."""
        super().refused(error, field or _FIELDS.get(error.code))


def grant_from(form: GrantForm, by: Actor, holder: User | Group) -> None:
    """Grant what a valid form says; raises what the action is refused with."""
    values = form.cleaned_data
    actions.grant_role(
        by=by,
        user=holder if isinstance(holder, User) else None,
        group=holder if isinstance(holder, Group) else None,
        role=Role(values["role"]),
        pattern=values["pattern"] or "*",
        until=_end_of(values["until"]),
        reason=values["reason"],
    )


def _end_of(day: date | None) -> datetime | None:
    if day is None:
        return None
    try:
        return datetime.combine(day + timedelta(days=1), time.min, tzinfo=get_current_timezone())
    except OverflowError:
        raise Invalid("The end date lies beyond the calendar.", code="bad_until") from None


def grant_row(grant: RoleGrant, names: Names, revoke_url: str) -> dict[str, Any]:
    """One grant for people/grants.html."""
    ended = grant.revoked_at or (grant.until if grant.until and grant.until <= now() else None)
    return {
        "row": grant,
        "label": LABELS[Role(grant.role)].capitalize(),
        "pattern": "everything" if grant.pattern == "*" else grant.pattern,
        "by": name_in(names, str(grant.granted_by_id) if grant.granted_by_id else None),
        "self_granted": grant.granted_by_id is not None and grant.granted_by_id == grant.user_id,
        "ended": ended,
        "revoker": name_in(names, str(grant.revoked_by_id)) if grant.revoked_by_id else "",
        "revoke_url": "" if ended else revoke_url,
    }


def accounts_in(rows: list[RoleGrant]) -> set[str]:
    """The accounts that rows of grants name."""
    return {str(account) for row in rows for account in (row.granted_by_id, row.revoked_by_id) if account}
