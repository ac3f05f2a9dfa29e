"""The roles that ship, with the words people read."""

from enum import StrEnum


class Role(StrEnum):
    """One role. What it may do stands in ``access/policy.py``."""

    VIEWER = "viewer"
    DATA_SCIENTIST = "data_scientist"
    REVIEWER = "reviewer"
    RISK_OWNER = "risk_owner"
    AUDITOR = "auditor"
    COMPLIANCE_OFFICER = "compliance_officer"
    ADMINISTRATOR = "administrator"
    SERVICE = "service"


LABELS: dict[Role, str] = {
    Role.VIEWER: "viewer",
    Role.DATA_SCIENTIST: "data scientist",
    Role.REVIEWER: "reviewer",
    Role.RISK_OWNER: "risk owner",
    Role.AUDITOR: "auditor",
    Role.COMPLIANCE_OFFICER: "compliance officer",
    Role.ADMINISTRATOR: "administrator",
    Role.SERVICE: "service",
}

DESCRIPTIONS: dict[Role, str] = {
    Role.VIEWER: "Sees models, data sets, reports and promotion requests.",
    Role.DATA_SCIENTIST: "Registers models and data with the MLflow client and asks for promotion.",
    Role.REVIEWER: "Decides on promotions from the evidence.",
    Role.RISK_OWNER: "Decides on promotions on behalf of the business that bears the risk.",
    Role.AUDITOR: "Reads everything, changes nothing, exports trails.",
    Role.COMPLIANCE_OFFICER: "Files, approves and tracks erasure requests.",
    Role.ADMINISTRATOR: "Manages accounts, roles and settings; decides nothing.",
    Role.SERVICE: "A machine: registers models and data, applies approved promotions.",
}


def either(roles: frozenset[Role]) -> str:
    """``reviewer or risk owner``, in the order the roles are declared."""
    words = [LABELS[role] for role in Role if role in roles]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
