"""What is recorded: every action that Plimsoll knows, its name in the trail, its log, and its words.

A member's value is the ``action`` of a leaf (``category.verb``) and never changes once released. Who may do it is
``access/policy.py``; when it is possible is the registry's and the erasure's ``states.py`` and ``rules.py``.
"""

from enum import StrEnum


class Action(StrEnum):
    """One name per act."""

    # people
    SESSION_OPEN = "session.open"
    SESSION_CLOSE = "session.close"
    SESSION_REVOKE = "session.revoke"
    PASSWORD_CHANGE = "password.change"  # noqa: S105
    PASSWORD_RESET = "password.reset"  # noqa: S105
    USER_CREATE = "user.create"
    USER_CLOSE = "user.close"
    USER_REOPEN = "user.reopen"
    OWNER_SET = "service_account.set_owner"
    GROUP_CREATE = "group.create"
    GROUP_UPDATE = "group.update"
    GROUP_CLOSE = "group.close"
    MEMBER_ADD = "group.add_member"
    MEMBER_REMOVE = "group.remove_member"
    ROLE_GRANT = "role.grant"
    ROLE_REVOKE = "role.revoke"
    TOKEN_CREATE = "token.create"  # noqa: S105
    TOKEN_REVOKE = "token.revoke"  # noqa: S105
    LINK_CREATE = "sign_in_link.create"
    PEOPLE_VIEW = "people.view"
    # registry
    REGISTRY_VIEW = "registry.view"
    TRACKING_READ = "tracking.read"
    TRACKING_WRITE = "tracking.write"
    MODEL_CREATE = "registered_model.create"
    MODEL_UPDATE = "registered_model.update"
    MODEL_RENAME = "registered_model.rename"
    MODEL_DELETE = "registered_model.delete"
    MODEL_TAG = "registered_model.tag"
    ALIAS_SET = "alias.set"
    ALIAS_DELETE = "alias.delete"
    VERSION_CREATE = "model_version.create"
    VERSION_UPDATE = "model_version.update"
    VERSION_TAG = "model_version.tag"
    VERSION_STAGE = "model_version.transition_stage"
    VERSION_DELETE = "model_version.delete"
    DATA_SET_CREATE = "data_set.create"
    DATA_SET_LINK = "data_set.link"
    DATA_SET_ADOPT = "data_set.adopt"
    ARTIFACT_PIN = "artifact.pin"
    RUN_RECORD = "run.record"
    ARTIFACT_CHECK = "artifact.check"
    ARTIFACT_ALARM = "artifact.alarm"
    EVIDENCE_REQUEST = "evidence.request"
    EVIDENCE_ATTACH = "evidence.attach"
    EVIDENCE_VIEW = "evidence.view"
    JOB_FAIL = "job.fail"
    # events out
    WEBHOOK_VIEW = "webhook.view"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_UPDATE = "webhook.update"
    WEBHOOK_DELETE = "webhook.delete"
    WEBHOOK_TEST = "webhook.test"
    WEBHOOK_REDELIVER = "webhook.redeliver"
    # promotion
    PROMOTION_VIEW = "promotion.view"
    PROMOTION_REQUEST = "promotion.request"
    PROMOTION_DECIDE = "promotion.decide"
    PROMOTION_APPLY = "promotion.apply"
    PROMOTION_WITHDRAW = "promotion.withdraw"
    # trail
    TRAIL_VIEW = "trail.view"
    TRAIL_EXPORT = "trail.export"
    TICK = "audit.tick"
    PRUNE = "audit.prune"
    KEY_ROTATE = "audit_key.rotate"
    KEY_RETIRE = "audit_key.retire"
    PRIVACY_ERASE = "privacy.erase"
    # erasure
    ERASURE_VIEW = "erasure.view"
    ERASURE_FILE = "erasure.file"
    ERASURE_DISCOVER = "erasure.discover"
    ERASURE_APPROVE = "erasure.approve"
    ERASURE_REFUSE = "erasure.refuse"
    ERASURE_CANCEL = "erasure.cancel"
    ERASURE_EXECUTE = "erasure.execute"
    ERASURE_VERIFY = "erasure.verify"
    ERASURE_SIGN = "erasure.sign_off"


# Reads of sensitive things go to the high-volume log; everything else, refusals included, to the log of changes.
ACCESS_LOG = frozenset(
    {
        Action.PEOPLE_VIEW,
        Action.REGISTRY_VIEW,
        Action.TRACKING_READ,
        Action.EVIDENCE_VIEW,
        Action.WEBHOOK_VIEW,
        Action.PROMOTION_VIEW,
        Action.TRAIL_VIEW,
        Action.TRAIL_EXPORT,
        Action.ERASURE_VIEW,
    }
)
LOGS = ("admin", "access")

# "<who> <words> <what>" on pages, and "You may not <infinitive> …" in refusals.
WORDS: dict[Action, str] = {
    Action.SESSION_OPEN: "sign in",
    Action.SESSION_CLOSE: "sign out",
    Action.SESSION_REVOKE: "end a session",
    Action.PASSWORD_CHANGE: "change a password",
    Action.PASSWORD_RESET: "reset a password",
    Action.USER_CREATE: "create an account",
    Action.USER_CLOSE: "close an account",
    Action.USER_REOPEN: "reopen an account",
    Action.OWNER_SET: "name the owner of a service account",
    Action.GROUP_CREATE: "create a group",
    Action.GROUP_UPDATE: "edit a group",
    Action.GROUP_CLOSE: "close a group",
    Action.MEMBER_ADD: "add a member to a group",
    Action.MEMBER_REMOVE: "remove a member from a group",
    Action.ROLE_GRANT: "grant a role",
    Action.ROLE_REVOKE: "revoke a role",
    Action.TOKEN_CREATE: "create a token",
    Action.TOKEN_REVOKE: "revoke a token",
    Action.LINK_CREATE: "create a sign-in link",
    Action.PEOPLE_VIEW: "see accounts and roles",
    Action.REGISTRY_VIEW: "see models and data sets",
    Action.TRACKING_READ: "read runs and artifacts",
    Action.TRACKING_WRITE: "write runs and artifacts",
    Action.MODEL_CREATE: "register a model",
    Action.MODEL_UPDATE: "edit a registered model",
    Action.MODEL_RENAME: "rename a registered model",
    Action.MODEL_DELETE: "delete a registered model",
    Action.MODEL_TAG: "tag a registered model",
    Action.ALIAS_SET: "set an alias",
    Action.ALIAS_DELETE: "delete an alias",
    Action.VERSION_CREATE: "register a model version",
    Action.VERSION_UPDATE: "edit a model version",
    Action.VERSION_TAG: "tag a model version",
    Action.VERSION_STAGE: "move a model version to another stage",
    Action.VERSION_DELETE: "delete a model version",
    Action.DATA_SET_CREATE: "register a data set",
    Action.DATA_SET_LINK: "link a data set to a model version",
    Action.DATA_SET_ADOPT: "take over the data sets of a run",
    Action.ARTIFACT_PIN: "pin an artifact",
    Action.RUN_RECORD: "record what a run was",
    Action.ARTIFACT_CHECK: "check an artifact",
    Action.ARTIFACT_ALARM: "raise or clear an alarm on an artifact",
    Action.EVIDENCE_REQUEST: "ask for a report",
    Action.EVIDENCE_ATTACH: "attach evidence",
    Action.EVIDENCE_VIEW: "see evidence",
    Action.JOB_FAIL: "give up a job",
    Action.WEBHOOK_VIEW: "see webhooks",
    Action.WEBHOOK_CREATE: "create a webhook",
    Action.WEBHOOK_UPDATE: "edit a webhook",
    Action.WEBHOOK_DELETE: "delete a webhook",
    Action.WEBHOOK_TEST: "test a webhook",
    Action.WEBHOOK_REDELIVER: "have an event delivered again",
    Action.PROMOTION_VIEW: "see promotion requests",
    Action.PROMOTION_REQUEST: "request a promotion",
    Action.PROMOTION_DECIDE: "decide on a promotion",
    Action.PROMOTION_APPLY: "apply a promotion",
    Action.PROMOTION_WITHDRAW: "withdraw a promotion request",
    Action.TRAIL_VIEW: "read the trail",
    Action.TRAIL_EXPORT: "export the trail",
    Action.TICK: "note the hour in the trail",
    Action.PRUNE: "drop old entries from the trail",
    Action.KEY_ROTATE: "bring in a new signing key",
    Action.KEY_RETIRE: "retire a signing key",
    Action.PRIVACY_ERASE: "erase a person from the trail",
    Action.ERASURE_VIEW: "see erasure requests",
    Action.ERASURE_FILE: "file an erasure request",
    Action.ERASURE_DISCOVER: "discover what an erasure reaches",
    Action.ERASURE_APPROVE: "approve an erasure plan",
    Action.ERASURE_REFUSE: "refuse an erasure request",
    Action.ERASURE_CANCEL: "cancel an erasure request",
    Action.ERASURE_EXECUTE: "execute an erasure",
    Action.ERASURE_VERIFY: "verify an erasure",
    Action.ERASURE_SIGN: "sign off an erasure",
}


def log_of(action: Action) -> str:
    """Which of the two logs an action's entries go to."""
    return "access" if action in ACCESS_LOG else "admin"
