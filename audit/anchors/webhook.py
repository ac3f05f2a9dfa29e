"""A webhook: every statement is posted as JSON to an address of the auditor's; 2xx means it was kept."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

from audit.anchors import http
from audit.anchors.base import AnchorError, Head, Receipt, Statement, printable


@dataclass
class WebhookAnchor:
    """Posts to ``url``; asks ``head_url`` with ``?log=`` and ``origin=`` for ``{"size": n, "root": hex}``."""

    name: str
    logs: tuple[str, ...]
    min_interval: float
    url: str
    head_url: str = ""
    bearer_file: Path | None = None
    kind: str = "webhook"
    verifier: str = ""

    def head(self, newest: Statement) -> Head | None:
        if not self.head_url:
            return None
        joint = "&" if "?" in self.head_url else "?"
        asked = f"{self.head_url}{joint}{urlencode({'log': newest.log, 'origin': newest.origin})}"
        answer = http.call("GET", asked, headers=self._headers())
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise AnchorError(f"The question for the newest size was answered {answer.status}.")
        return _head(answer.body)

    def submit(self, statement: Statement) -> Receipt:
        told = {
            "log": statement.log,
            "origin": statement.origin,
            "size": statement.size,
            "root": statement.root.hex(),
            "note": statement.note,
        }
        headers = {**self._headers(), "Content-Type": "application/json"}
        answer = http.call("POST", self.url, body=json.dumps(told, sort_keys=True).encode(), headers=headers)
        if not 200 <= answer.status < 300:
            raise AnchorError(f"The webhook answered {answer.status}, not 2xx: {printable(answer.text)}")
        return Receipt(f"{answer.status} sha256:{sha256(answer.body).hexdigest()} {printable(answer.text)}".strip())

    def _headers(self) -> dict[str, str]:
        if self.bearer_file is None:
            return {}
        try:
            token = self.bearer_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError):
            raise AnchorError(f"The file {self.bearer_file.name} with the bearer token cannot be read.") from None
        if not token or not token.isprintable() or " " in token:
            raise AnchorError(f"The file {self.bearer_file.name} does not hold one bearer token.")
        return {"Authorization": f"Bearer {token}"}


def _head(body: bytes) -> Head:
    try:
        told = json.loads(body)
        size, root = told["size"], told.get("root")
        held = Head(size, bytes.fromhex(root) if root else None)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AnchorError('The newest size is told as {"size": number, "root": hex}.') from None
    if type(size) is not int or size < 0 or (held.root is not None and len(held.root) != 32):
        raise AnchorError('The newest size is told as {"size": number, "root": hex}.')
    return held
