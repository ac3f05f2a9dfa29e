"""Who may do what: one table, and three questions to it.

``require(by, action, subject)`` is for the door and for reads; ``why_not`` gives the same sentence for buttons and for
the API's ``available_actions``; ``patterns_for`` (behind every ``visible_to``) narrows lists. *When* something is
possible is not decided here but in the ``states.py`` and ``rules.py`` of the app that owns it.

Separation of duties is a *who* rule: ``unless`` names relations, and the subject says which accounts stand in them,
computed from recorded history. A service account and its owner are one person there. Administrators and service
accounts are not exempt.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from access import checked, grants
from access.roles import LABELS, Role, either
from access.scopes import SCOPES, TokenScope, reaches
from audit import door
from audit.actors import Actor
from audit.errors import Denied, Unauthenticated
from audit.events import WORDS, Action
from audit.subjects import Governed, Subject, subject_of


class Relation(StrEnum):
    """How an account can be entangled with a subject."""

    REQUESTER = "requester"
    VERSION_AUTHOR = "version_author"
    EVIDENCE_AUTHOR = "evidence_author"
    DATA_OWNER = "data_owner"
    FILER = "filer"
    APPROVER = "approver"
    EXECUTOR = "executor"
    SELF_GRANTED = "self_granted"


# Under this name a subject says whose account it is.
HOLDER: Final = "holder"
# "… so <what follows>" is the same for all: someone else must do it.
ENTANGLED: Final[dict[Relation, str]] = {
    Relation.REQUESTER: "You filed this request",
    Relation.VERSION_AUTHOR: "You registered this model version",
    Relation.EVIDENCE_AUTHOR: "You produced evidence for this model version",
    Relation.DATA_OWNER: "You registered data this model version was built on",
    Relation.FILER: "You filed this erasure request",
    Relation.APPROVER: "You approved this erasure",
    Relation.EXECUTOR: "You executed this erasure",
    Relation.SELF_GRANTED: "You granted yourself the role this takes",
}


@dataclass(frozen=True)
class Rule:
    """``roles`` may, ``unless`` they stand in one of these relations. ``system`` lets Plimsoll's own jobs through;
    ``anyone`` needs only a signed-in account; ``own`` lets the holder of an account through to that account, and the
    owner of a service account to that.
    """

    roles: frozenset[Role] = frozenset()
    unless: tuple[Relation, ...] = ()
    system: bool = False
    anyone: bool = False
    own: bool = False


def _of(*roles: Role, unless: tuple[Relation, ...] = (), system: bool = False) -> Rule:
    return Rule(roles=frozenset(roles), unless=unless, system=system)


_ALL = tuple(Role)
_BUILDERS = (Role.DATA_SCIENTIST, Role.SERVICE)
_HOOKING = (*_BUILDERS, Role.COMPLIANCE_OFFICER, Role.ADMINISTRATOR)
_INDEPENDENT = (
    Relation.REQUESTER,
    Relation.VERSION_AUTHOR,
    Relation.EVIDENCE_AUTHOR,
    Relation.DATA_OWNER,
    Relation.SELF_GRANTED,
)

POLICY: Final[dict[Action, Rule]] = {
    Action.SESSION_OPEN: Rule(anyone=True),
    Action.SESSION_CLOSE: Rule(anyone=True),
    Action.SESSION_REVOKE: Rule(roles=frozenset({Role.ADMINISTRATOR}), own=True, system=True),
    Action.PASSWORD_CHANGE: Rule(own=True),
    Action.PASSWORD_RESET: _of(Role.ADMINISTRATOR, system=True),
    Action.USER_CREATE: _of(Role.ADMINISTRATOR, system=True),
    Action.USER_CLOSE: _of(Role.ADMINISTRATOR, system=True),
    Action.USER_REOPEN: _of(Role.ADMINISTRATOR, system=True),
    Action.OWNER_SET: _of(Role.ADMINISTRATOR, system=True),
    Action.GROUP_CREATE: _of(Role.ADMINISTRATOR, system=True),
    Action.GROUP_UPDATE: _of(Role.ADMINISTRATOR, system=True),
    Action.GROUP_CLOSE: _of(Role.ADMINISTRATOR, system=True),
    Action.MEMBER_ADD: _of(Role.ADMINISTRATOR, system=True),
    Action.MEMBER_REMOVE: _of(Role.ADMINISTRATOR, system=True),
    Action.ROLE_GRANT: _of(Role.ADMINISTRATOR, system=True),
    Action.ROLE_REVOKE: _of(Role.ADMINISTRATOR, system=True),
    # whoever made a token for someone else could act as them
    Action.TOKEN_CREATE: Rule(own=True, system=True),
    Action.TOKEN_REVOKE: Rule(roles=frozenset({Role.ADMINISTRATOR}), own=True, system=True),
    Action.LINK_CREATE: _of(Role.ADMINISTRATOR, system=True),
    # a compliance officer must find the account that is to be erased
    Action.PEOPLE_VIEW: _of(Role.ADMINISTRATOR, Role.AUDITOR, Role.COMPLIANCE_OFFICER),
    Action.REGISTRY_VIEW: _of(*_ALL),
    Action.TRACKING_READ: _of(*_ALL, system=True),
    Action.TRACKING_WRITE: _of(*_BUILDERS),
    Action.MODEL_CREATE: _of(*_BUILDERS),
    Action.MODEL_UPDATE: _of(*_BUILDERS),
    Action.MODEL_RENAME: _of(*_BUILDERS),
    Action.MODEL_DELETE: _of(*_BUILDERS),
    Action.MODEL_TAG: _of(*_BUILDERS),
    Action.ALIAS_SET: _of(*_BUILDERS),
    Action.ALIAS_DELETE: _of(*_BUILDERS),
    Action.VERSION_CREATE: _of(*_BUILDERS),
    Action.VERSION_UPDATE: _of(*_BUILDERS),
    Action.VERSION_TAG: _of(*_BUILDERS),
    Action.VERSION_STAGE: _of(*_BUILDERS),
    Action.VERSION_DELETE: _of(*_BUILDERS),
    Action.DATA_SET_CREATE: _of(*_BUILDERS),
    Action.DATA_SET_LINK: _of(*_BUILDERS),
    Action.DATA_SET_ADOPT: Rule(system=True),
    Action.ARTIFACT_PIN: Rule(system=True),
    # Whoever relies on the files may have them read again.
    Action.ARTIFACT_CHECK: _of(
        *_BUILDERS, Role.REVIEWER, Role.RISK_OWNER, Role.AUDITOR, Role.ADMINISTRATOR, system=True
    ),
    Action.ARTIFACT_ALARM: Rule(system=True),
    Action.RUN_RECORD: Rule(system=True),
    Action.EVIDENCE_REQUEST: _of(*_BUILDERS, Role.REVIEWER, Role.RISK_OWNER, system=True),
    Action.EVIDENCE_ATTACH: Rule(system=True),
    Action.EVIDENCE_VIEW: _of(*_ALL),
    Action.JOB_FAIL: Rule(system=True),
    # What leaves goes to the whole world and is about everything: these take a grant that reaches everywhere.
    Action.WEBHOOK_VIEW: _of(*_HOOKING, Role.AUDITOR),
    Action.WEBHOOK_CREATE: _of(*_HOOKING),
    Action.WEBHOOK_UPDATE: _of(*_HOOKING),
    Action.WEBHOOK_DELETE: _of(*_HOOKING),
    Action.WEBHOOK_TEST: _of(*_HOOKING),
    Action.WEBHOOK_REDELIVER: _of(*_HOOKING),
    Action.PROMOTION_VIEW: _of(*_ALL),
    Action.PROMOTION_REQUEST: _of(*_BUILDERS),
    Action.PROMOTION_DECIDE: _of(Role.REVIEWER, Role.RISK_OWNER, unless=_INDEPENDENT),
    Action.PROMOTION_APPLY: _of(*_BUILDERS, Role.REVIEWER, Role.RISK_OWNER),
    Action.PROMOTION_WITHDRAW: _of(*_BUILDERS),
    Action.TRAIL_VIEW: _of(Role.AUDITOR, Role.COMPLIANCE_OFFICER, Role.ADMINISTRATOR),
    Action.TRAIL_EXPORT: _of(Role.AUDITOR),
    Action.TICK: Rule(system=True),
    Action.PRUNE: Rule(system=True),
    Action.KEY_ROTATE: Rule(system=True),
    Action.KEY_RETIRE: Rule(system=True),
    Action.PRIVACY_ERASE: _of(Role.COMPLIANCE_OFFICER, system=True),
    Action.ERASURE_VIEW: _of(Role.COMPLIANCE_OFFICER, Role.AUDITOR),
    Action.ERASURE_FILE: _of(Role.COMPLIANCE_OFFICER),
    Action.ERASURE_DISCOVER: _of(Role.COMPLIANCE_OFFICER, system=True),
    Action.ERASURE_APPROVE: _of(Role.COMPLIANCE_OFFICER, unless=(Relation.FILER, Relation.SELF_GRANTED)),
    Action.ERASURE_REFUSE: _of(Role.COMPLIANCE_OFFICER, unless=(Relation.FILER, Relation.SELF_GRANTED)),
    Action.ERASURE_CANCEL: _of(Role.COMPLIANCE_OFFICER),
    Action.ERASURE_EXECUTE: _of(Role.COMPLIANCE_OFFICER, system=True),
    Action.ERASURE_VERIFY: Rule(system=True),
    Action.ERASURE_SIGN: _of(
        Role.COMPLIANCE_OFFICER, unless=(Relation.FILER, Relation.EXECUTOR, Relation.SELF_GRANTED)
    ),
}


def why_not(by: Actor, action: Action, on: Governed | Subject) -> str | None:
    """The sentence that refuses ``action`` on ``on`` to ``by``, or None when it is allowed."""
    error = _refusal(by, action, subject_of(on))
    return None if error is None else error.sentence


def require(by: Actor, action: Action, on: Governed | Subject) -> None:
    """Return when ``by`` may; raise ``Denied`` or ``Unauthenticated`` with the sentence ``why_not`` gives."""
    checked.note()
    error = _refusal(by, action, subject_of(on))
    if error is not None:
        raise error


def require_read(by: Actor, action: Action, on: Governed | Subject) -> None:
    """``require`` for reads, which pass no door: the refusal is recorded here."""
    try:
        require(by, action, on)
    except Denied as error:
        door.refuse(by, action, subject_of(on), error)
        raise


def patterns_for(by: Actor, action: Action) -> tuple[str, ...]:
    """The name patterns on which ``by`` may do ``action``: behind every ``visible_to``. Strangers must sign in."""
    checked.note()
    rule = POLICY[action]
    if by.kind != "system" and by.account is None:
        raise Unauthenticated(f"Sign in to {WORDS[action]}.")
    if by.kind == "system" and rule.system:
        return ("*",)
    if narrowed := _scope_refusal(by, action):
        raise narrowed
    return tuple({grant.pattern for grant in grants.held_by(by) if grant.role in rule.roles})


def _refusal(by: Actor, action: Action, subject: Subject) -> Denied | Unauthenticated | None:
    rule = POLICY[action]
    if by.kind == "system":
        return None if rule.system else Denied(f"Plimsoll itself may not {WORDS[action]}.", code="not_for_system")
    if by.account is None:
        return Unauthenticated(f"Sign in to {WORDS[action]}.")
    if narrowed := _scope_refusal(by, action):
        return narrowed
    if rule.anyone or (rule.own and by.account in subject.involved.get(HOLDER, frozenset())):
        return None
    return _role_refusal(by, action, rule, subject) or _entanglement(by, action, rule, subject)


def _scope_refusal(by: Actor, action: Action) -> Denied | None:
    if not by.token_scope or reaches(TokenScope(by.token_scope), action):
        return None
    return Denied(
        f"This token may only {SCOPES[TokenScope(by.token_scope)].reach}; to {WORDS[action]}, use one with a wider"
        " scope.",
        code="token_scope",
    )


def _role_refusal(by: Actor, action: Action, rule: Rule, subject: Subject) -> Denied | None:
    held = grants.held_by(by)
    here = grants.roles_on(held, subject.scope)
    if here & rule.roles:
        return None
    if rule.own and not rule.roles:
        return Denied(f"You may not {WORDS[action]} that is not yours: its holder has to.", code="not_own")
    if not rule.roles:
        return Denied(f"Only Plimsoll itself may {WORDS[action]}.", code="system_only")
    where = f" on {subject.scope}" if subject.scope else ""
    have = ", ".join(LABELS[role] for role in Role if role in here) or "no role"
    return Denied(
        f"You may not {WORDS[action]}: it takes the role {either(rule.roles)}{where}, and you have {have} there.",
        code="role_missing",
    )


def _entanglement(by: Actor, action: Action, rule: Rule, subject: Subject) -> Denied | None:
    """A person is entangled through each account of theirs: their own, and the service accounts they answer for."""
    for relation in rule.unless:
        selves = grants.selves(by)
        if relation is Relation.SELF_GRANTED:
            usable = [g for g in grants.held_by(by) if g.role in rule.roles and grants.covers(g.pattern, subject.scope)]
            barred, directly = all(grant.given_by & selves for grant in usable), True
        else:
            involved = subject.involved.get(relation.value, frozenset())
            barred, directly = bool(involved & selves), by.account in involved
        if barred:
            how = "" if directly else " through another account that counts as yours"
            return Denied(
                f"{ENTANGLED[relation]}{how}, so you may not {WORDS[action]}: someone independent has to.",
                code=f"not_independent_{relation}",
            )
    return None
