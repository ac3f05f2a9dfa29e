"""Sessions: opened by a sign-in, closed by a sign-out, ended by their holder or an administrator from elsewhere."""

from datetime import timedelta

from access import browsers
from access.authenticate import link_for
from access.endings import end_sessions_of
from access.models import Session, SignInLink, User
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import NotFound
from audit.events import Action
from audit.subjects import Subject

LIFETIME = timedelta(hours=12)


def open_session(*, by: Actor, link: str | None = None, agent: str = "") -> Session:
    """Record a sign-in; with ``link``, spend it. ``agent`` is what the browser says of itself."""
    with door.open(by, Action.SESSION_OPEN, on=Subject(type="user", id=by.account or "")) as entry:
        if link is not None:
            row = link_for(link)
            if not SignInLink.objects.filter(pk=row.pk, used_at=None).update(used_at=now()):
                raise NotFound("This sign-in link was used already.")
        session = Session.objects.create(
            user_id=by.account or "",
            auth="link" if link else "password",
            browser=browsers.named(agent),
            address=by.ip[:45],
            expires_at=now() + LIFETIME,
        )
        entry.record(after={"auth": by.auth})
        return session


def close_session(*, by: Actor, session: str = "") -> None:
    """Record a sign-out, and end the session it is about."""
    with door.open(by, Action.SESSION_CLOSE, on=Subject(type="user", id=by.account or "")) as entry:
        if session:
            Session.objects.filter(pk=session, user_id=by.account or "", ended_at=None).update(
                ended_at=now(), ended_by_id=by.account
            )
        entry.record()


def revoke_session(*, by: Actor, session: Session) -> None:
    """End one session of an account, wherever its browser is."""
    with door.open(by, Action.SESSION_REVOKE, on=session.user) as entry:
        ended = Session.objects.filter(pk=session.pk, ended_at=None, expires_at__gt=now()).update(
            ended_at=now(), ended_by_id=by.account
        )
        if not ended:
            raise NotFound("This session has ended already.")
        entry.record(before={"session": str(session.pk)})


def end_sessions(*, by: Actor, user: User, but: str = "") -> int:
    """Sign an account out everywhere (``but`` in one session); how many sessions ended."""
    with door.open(by, Action.SESSION_REVOKE, on=user) as entry:
        ended = end_sessions_of(entry.locked, by, but=but)
        entry.record(after={"sessions_ended": ended})
        return ended
