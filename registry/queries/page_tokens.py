"""The tokens of keyset pages as MLflow's clients carry them: what is in one belongs to the query that made it."""

import base64
import binascii

from audit.errors import Invalid


def encoded(content: bytes) -> str:
    """A token that holds ``content``."""
    return base64.urlsafe_b64encode(content).decode()


def decoded(token: str) -> bytes:
    """What a token holds. Raises Invalid, in MLflow's words, for one that is not base64."""
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("Invalid page token, could not base64-decode", code="bad_token") from None


def wrong(content: bytes) -> Invalid:
    """The refusal of a token that holds nothing of ours, in MLflow's words."""
    return Invalid(f"Invalid page token, decoded value={content[:100]!r}", code="bad_token")
