"""One way to a digest of structured content: SHA-256 over its RFC 8785 form."""

import hashlib
from typing import Any

import rfc8785


def of_json(value: Any) -> str:
    """Lower-case hex SHA-256 over the RFC 8785 bytes of a JSON value (``Any`` is what JSON is).

    Raises ValueError for what JSON cannot carry (NaN, integers beyond ±(2^53−1), other types).
    """
    try:
        return hashlib.sha256(rfc8785.dumps(value)).hexdigest()
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"This cannot be digested: {error}.") from None
