"""The one door: every change of governed state goes through ``door.open``.

It authorises through the policy table, opens the durable transaction, locks the subject, authorises again on what is
locked, lets the action run, appends the entry last and commits. State and entry stand or fall together. A refusal is
recorded too, in a transaction of its own. Who may do what is not known here: ``access`` hands its rule in at start.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import DatabaseError, models, transaction

from audit import guard, trail
from audit.actors import Actor
from audit.errors import Conflict, DomainError, NotFound
from audit.events import Action, log_of
from audit.subjects import Governed, Subject, subject_of

log = logging.getLogger("plimsoll.door")

Authorise = Callable[[Actor, Action, Subject], None]
_authorise: list[Authorise] = []


class NotRecordedError(RuntimeError):
    """An action came to its end without saying what it did."""


def install(authorise: Authorise) -> None:
    """Tell the door how to authorise: ``authorise(by, action, subject)`` raises ``Denied`` or returns. Called once."""
    _authorise[:] = [authorise]


def authorise(by: Actor, action: Action, subject: Subject) -> None:
    """Ask the installed rule; with none installed everything is refused."""
    if not _authorise:
        raise RuntimeError("No policy is installed: the access app is not ready.")
    _authorise[0](by, action, subject)


@dataclass
class Entry:
    """What an action says of itself while the door is open."""

    by: Actor
    action: Action
    subject: Subject
    locked: Any = None
    appended: trail.Appended | None = None
    _draft: trail.Draft | None = field(default=None, repr=False)

    def record(
        self,
        *,
        on: Governed | Subject | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        reason: str = "",
        reason_code: str = "",
        private: Mapping[str, str] | None = None,
        concerns: str = "",
        policy: Mapping[str, Any] | None = None,
    ) -> None:
        """Say what happened. ``before`` and ``after`` are plain values without personal data; ``reason`` and
        ``private`` are committed to by salted digest only. ``concerns`` is the account that ``private`` is about, when
        it is not the actor's. ``on`` names what was made, when the door was opened on its parent.
        """
        self._draft = trail.Draft(
            by=self.by,
            action=self.action,
            outcome="success",
            subject=self.subject if on is None else subject_of(on),
            change={"before": dict(before) if before else None, "after": dict(after) if after else None},
            reason=reason,
            reason_code=reason_code,
            private=dict(private or {}),
            concerns=concerns,
            policy=policy,
        )

    def _append(self) -> None:
        if self._draft is None:
            raise NotRecordedError(f"{self.action} ended without entry.record(…).")
        self.appended = trail.append(self._draft)
        self.by.memo["appended"] = self.appended  # so that a surface can hand out the receipt of what it just did


@contextmanager
def open(by: Actor, action: Action, *, on: Governed | Subject) -> Iterator[Entry]:  # noqa: A001 - door.open reads well
    """Do ``action`` on ``on``, once, wholly or not at all.

    ``on`` is a row (it is fetched again and locked; ``entry.locked``) or a plain subject when there is no row yet.
    Raises what the rule or the action refuses with, after recording the refusal.
    """
    subject = subject_of(on)
    try:
        authorise(by, action, subject)
        with transaction.atomic(durable=True), guard.allow(action.value):
            entry = Entry(by=by, action=action, subject=subject)
            if isinstance(on, models.Model):
                entry.locked = _lock(on)
                entry.subject = entry.locked.subject()
                authorise(replace(by, memo={}), action, entry.subject)  # roles as they are now, not as remembered
            yield entry
            entry._append()
    except DomainError as error:
        refuse(by, action, subject, error)
        raise
    except DatabaseError as error:
        refuse(by, action, subject, Conflict("The database refused the change.", code="database_refused"), "error")
        log.exception("the database refused a change", extra={"action": action.value, "error": type(error).__name__})
        raise


def refuse(by: Actor, action: Action, subject: Subject, error: DomainError, outcome: str = "denied") -> None:
    """Record that ``action`` was refused. A trail that cannot be written makes the refusal louder, never silent."""
    draft = trail.Draft(
        by=replace(by, memo={}), action=action, outcome=outcome, subject=subject, reason_code=error.code
    )
    with transaction.atomic(durable=True), guard.allow(action.value):
        trail.append(draft)


def saw(
    by: Actor,
    action: Action,
    *,
    on: Governed | Subject,
    told: Mapping[str, Any] | None = None,
    private: Mapping[str, str] | None = None,
) -> None:
    """Record in the log of reads that ``by`` saw ``on``; ``told`` holds no personal data, ``private`` may.

    The caller has asked for permission. A read that cannot be recorded is not answered: what is raised here is meant
    to reach the surface.
    """
    if log_of(action) != "access":
        raise ValueError(f"{action} is not a read.")
    change = {"after": dict(told)} if told else {}
    draft = trail.Draft(
        by=by, action=action, outcome="success", subject=subject_of(on), change=change, private=dict(private or {})
    )
    with transaction.atomic(durable=True):
        trail.append(draft)


def _lock(on: models.Model) -> models.Model:
    manager = type(on)._base_manager
    # Keys do not change, so rows that refer to this one need not wait; doors on two such rows would wait for ever.
    locked = manager.select_for_update(of=("self",), no_key=True).filter(pk=on.pk).first()
    if locked is None:
        raise NotFound("It was deleted a moment ago.")
    return locked
