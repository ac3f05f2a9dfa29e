"""The writer's MAC: what tells an event the service wrote from a row somebody put into the table."""

import hmac

from audit import keys


def writer_mac(leaf: bytes) -> bytes:
    """HMAC-SHA-256 under the writer's key; the sequencer sets aside a row without a valid one."""
    return hmac.digest(keys.secret("writer"), leaf, "sha256")
