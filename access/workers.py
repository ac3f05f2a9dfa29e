"""On whose behalf a worker acts: the account that asked, with the roles it holds when the work is done."""

from access.authenticate import actor_of
from access.models import User
from audit.actors import Actor
from audit.errors import NotFound


def actor_for(account: str, auth: str, request_id: str) -> Actor:
    """The actor of an account by its id; ``auth`` says how the account proved itself when it asked.

    Raises NotFound when there is no such account any more, or it was closed.
    """
    user = User.objects.filter(pk=account, is_active=True).first()
    if user is None:
        raise NotFound("The account that asked for this is not there any more.")
    return actor_of(user, auth, request_id=request_id)
