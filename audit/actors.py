"""Who acts. An actor is made by ``access/`` (from a session, a token, a password) and only carried here."""

from dataclasses import dataclass, field
from typing import Literal

ActorKind = Literal["user", "service", "system", "anonymous"]


@dataclass(frozen=True)
class Actor:
    """One caller during one request or job.

    ``account`` is the account's id as text, None for the system and for strangers; ``name`` is personal and never
    enters a leaf in clear; ``auth`` says how the caller proved who they are (session, bearer, basic, link, system);
    ``token_scope`` narrows what a bearer token may be used for (``access/scopes.py``; empty: nothing is narrowed).
    """

    kind: ActorKind
    account: str | None
    name: str
    auth: str
    request_id: str = ""
    ip: str = ""
    token_scope: str = ""
    memo: dict[str, object] = field(default_factory=dict, compare=False, repr=False)


SYSTEM = Actor(kind="system", account=None, name="plimsoll", auth="system")
ANONYMOUS = Actor(kind="anonymous", account=None, name="anonymous", auth="none")
