"""The file that lists the anchors, ``PLIMSOLL_ANCHORS``: TOML, read and checked here and nowhere else.

Every mistake in it is one sentence, raised as ImproperlyConfigured, which stops the start. What a kind needs beyond
these checks (a secret's file, a repository) is looked at when it is used: only the sequencer may see those.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from audit.anchors.base import Anchor
from audit.anchors.file import FileAnchor
from audit.anchors.git import GitAnchor
from audit.anchors.webhook import WebhookAnchor
from audit.anchors.witness import WitnessAnchor
from audit.events import LOGS
from audit.note import COSIGNATURE, NoteError, Verifier

DEFAULT_INTERVAL = 60
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62})")
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_COMMON = {"name", "kind", "logs", "min_interval"}

Table = Mapping[str, Any]  # what TOML gives


def configured() -> tuple[Anchor, ...]:
    """The anchors of this installation, in the order of the file; none without one.

    Raises ImproperlyConfigured with a sentence for a file that is not as it should be.
    """
    path = settings.PLIMSOLL_ANCHORS
    if path is None:
        return ()
    try:
        found = Path(path).stat()
    except OSError as error:
        raise ImproperlyConfigured(f"PLIMSOLL_ANCHORS names {path}, which cannot be read: {error.strerror}.") from None
    return _read(Path(path), found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int, _bytes: int) -> tuple[Anchor, ...]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ImproperlyConfigured(f"PLIMSOLL_ANCHORS names {path}, which cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise ImproperlyConfigured(f"The anchors file {path.name} is not TOML: {error}.") from None
    tables = content.pop("anchor", [])
    if content or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ImproperlyConfigured(f"The anchors file {path.name} holds [[anchor]] tables and nothing else.")
    made = tuple(_anchor(table, number) for number, table in enumerate(tables, start=1))
    names = [anchor.name for anchor in made]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ImproperlyConfigured(f"Two anchors are named {twice[0]!r}; each needs a name of its own.")
    return made


def _anchor(table: Table, number: int) -> Anchor:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ImproperlyConfigured(
            f"Anchor number {number} needs a name of lower-case letters, digits, dots, dashes and underscores."
        )
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ImproperlyConfigured(f"Anchor {name!r} needs a kind: one of {', '.join(_KINDS)}.")
    make, own = _KINDS[kind]
    unknown = sorted(set(table) - _COMMON - own)
    if unknown:
        raise ImproperlyConfigured(
            f"Anchor {name!r} has a field {unknown[0]!r}; a {kind} anchor knows {', '.join(sorted(_COMMON | own))}."
        )
    return make(table, {"name": name, "logs": _logs(table, name), "min_interval": _interval(table, name)})


def _logs(table: Table, name: str) -> tuple[str, ...]:
    logs = table.get("logs", list(LOGS))
    if not isinstance(logs, list) or not logs or any(log not in LOGS for log in logs):
        raise ImproperlyConfigured(f"Anchor {name!r}: logs is a list of some of {', '.join(LOGS)}.")
    return tuple(log for log in LOGS if log in logs)


def _interval(table: Table, name: str) -> float:
    seconds = table.get("min_interval", DEFAULT_INTERVAL)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 86_400:
        raise ImproperlyConfigured(f"Anchor {name!r}: min_interval is a number of seconds from 0 to 86400.")
    return float(seconds)


def _text(table: Table, field: str, name: str, default: str | None = None) -> str:
    value = table.get(field, default)
    if not isinstance(value, str) or (not value and default is None):
        raise ImproperlyConfigured(f"Anchor {name!r} needs {field}, as text.")
    return value


def _path(table: Table, field: str, name: str, default: str | None = None) -> Path:
    path = Path(_text(table, field, name, default))
    if not path.is_absolute():
        raise ImproperlyConfigured(f"Anchor {name!r}: {field} must be a whole path, beginning at the root.")
    return path


def _url(table: Table, field: str, name: str) -> str:
    url = _text(table, field, name)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ImproperlyConfigured(f"Anchor {name!r}: {field} is not an address.") from None
    if parts.scheme not in {"http", "https"} or not host or parts.fragment:
        raise ImproperlyConfigured(f"Anchor {name!r}: {field} must be an http or https address.")
    if parts.username is not None or parts.password is not None:
        raise ImproperlyConfigured(f"Anchor {name!r}: {field} must not hold a password; name a bearer_file instead.")
    insecure = table.get("insecure", False)
    if not isinstance(insecure, bool):
        raise ImproperlyConfigured(f"Anchor {name!r}: insecure is true or false.")
    if parts.scheme == "http" and host not in _LOOPBACK and not insecure:
        raise ImproperlyConfigured(
            f"Anchor {name!r}: {field} must be https. Say insecure = true if the way there is protected otherwise."
        )
    return url


def _file(table: Table, common: dict[str, Any]) -> Anchor:
    return FileAnchor(**common, path=_path(table, "path", common["name"]))


def _webhook(table: Table, common: dict[str, Any]) -> Anchor:
    name = common["name"]
    return WebhookAnchor(
        **common,
        url=_url(table, "url", name),
        head_url=_url(table, "head_url", name) if "head_url" in table else "",
        bearer_file=_path(table, "bearer_file", name) if "bearer_file" in table else None,
    )


def _witness(table: Table, common: dict[str, Any]) -> Anchor:
    name, verifier = common["name"], _text(table, "verifier", common["name"])
    try:
        kind = Verifier.parse(verifier).kind
    except NoteError as error:
        raise ImproperlyConfigured(f"Anchor {name!r}: verifier is not a verifier key. {error}") from None
    if kind != COSIGNATURE:
        raise ImproperlyConfigured(f"Anchor {name!r}: verifier is a log's key, not a witness's.")
    return WitnessAnchor(**common, url=_url(table, "url", name).rstrip("/"), verifier=verifier)


def _git(table: Table, common: dict[str, Any]) -> Anchor:
    name = common["name"]
    remote, branch = _text(table, "remote", name, ""), _text(table, "branch", name, "main")
    for field, value in (("remote", remote), ("branch", branch)):
        if value and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}", value):
            raise ImproperlyConfigured(f"Anchor {name!r}: {field} is the name of one, as git knows it.")
    return GitAnchor(**common, directory=_path(table, "directory", name), remote=remote, branch=branch)


_KINDS: dict[str, tuple[Callable[[Table, dict[str, Any]], Anchor], set[str]]] = {
    "file": (_file, {"path"}),
    "webhook": (_webhook, {"url", "head_url", "bearer_file", "insecure"}),
    "witness": (_witness, {"url", "verifier", "insecure"}),
    "git": (_git, {"directory", "remote", "branch"}),
}
