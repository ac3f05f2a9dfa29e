"""What a person may set, what the parts are told, and how another shell finds a running installation.

Here: reading and checking environment variables, and the record `run.env.json`. Not here: database addresses
(`addresses.py`) or anything that is not in the standard library, because every `manage.py` call imports this module.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

ROOT = Path(__file__).resolve().parent.parent.parent
RECORD = "run.env.json"

DEFAULT_PORT = 8000
DEFAULT_BIND = "127.0.0.1"

# What the record carries to a second shell. Everything else stays in the processes that need it.
HANDED_OVER = (
    "PLIMSOLL_DB_APP",
    "PLIMSOLL_DB_OWNER",
    "PLIMSOLL_DB_SEQUENCER",
    "PLIMSOLL_DB_ERASER",
    "CELERY_BROKER_URL",
    "PLIMSOLL_TRACKING_URL",
    "PLIMSOLL_PUBLIC_URL",
    "PLIMSOLL_DATA",
)

_DATABASE_SCHEMES = {"postgres", "postgresql"}
_BROKER = re.compile(r"^(amqps?|rediss?|sentinel|sqla\+postgresql(\+\w+)?)://.+", re.DOTALL)


class StartRefusedError(Exception):
    """The installation cannot start, for a reason the person can act on. The message is one or two sentences."""


@dataclass(frozen=True)
class Choices:
    """The environment variables of one start, checked."""

    data: Path
    port: int
    bind: str
    public_url: str | None
    database_url: str | None
    owner_url: str | None
    broker_url: str | None
    upstream: str | None


@dataclass(frozen=True)
class Upstream:
    """A tracking server that runs elsewhere; without one, both are empty."""

    url: str = ""
    authorization: str = field(default="", repr=False)
    """The whole header it asks for. Never printed, and never written to the record."""


def data_directory(environ: Mapping[str, str]) -> Path:
    """Where this installation keeps everything: PLIMSOLL_DATA, else `var` beside the code."""
    named = environ.get("PLIMSOLL_DATA", "").strip()
    return Path(named).expanduser().resolve() if named else ROOT / "var"


def choices(environ: Mapping[str, str]) -> Choices:
    """Read and check the environment. Raises StartRefusedError with a sentence that names the variable."""
    _check_administrator(environ)
    return Choices(
        data=_data(environ),
        port=_port(environ),
        bind=_bind(environ),
        public_url=_web_address(environ, "PLIMSOLL_PUBLIC_URL"),
        database_url=_database(environ, "DATABASE_URL"),
        owner_url=_database(environ, "DATABASE_OWNER_URL"),
        broker_url=_broker(environ),
        upstream=upstream(environ).url or None,
    )


def _data(environ: Mapping[str, str]) -> Path:
    data = data_directory(environ)
    if data.exists() and not data.is_dir():
        raise StartRefusedError(f"PLIMSOLL_DATA is {data}, which is a file. Name a directory.")
    return data


def _port(environ: Mapping[str, str]) -> int:
    raw = environ.get("PORT", "").strip() or str(DEFAULT_PORT)
    if not (raw.isascii() and raw.isdigit() and int(raw) <= 65535):
        raise StartRefusedError(f"PORT is {raw!r}. It must be a whole number from 1 to 65535 (0 picks a free one).")
    return int(raw)


def _bind(environ: Mapping[str, str]) -> str:
    raw = environ.get("PLIMSOLL_BIND", "").strip() or DEFAULT_BIND
    if raw == "localhost":
        return DEFAULT_BIND
    try:
        return str(ipaddress.ip_address(raw.strip("[]")))
    except ValueError:
        raise StartRefusedError(
            f"PLIMSOLL_BIND is {raw!r}. It must be an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 for "
            "all of them."
        ) from None


def _database(environ: Mapping[str, str], name: str) -> str | None:
    raw = environ.get(name, "").strip()
    if not raw:
        return None
    scheme = raw.split(":", 1)[0]
    if scheme not in _DATABASE_SCHEMES or not urlsplit(raw).path.strip("/"):
        raise StartRefusedError(
            f"{name} must look like postgresql://user:password@host:5432/database. "
            "Only PostgreSQL, from version 15, is supported."
        )
    if name == "DATABASE_OWNER_URL" and not environ.get("DATABASE_URL", "").strip():
        raise StartRefusedError("DATABASE_OWNER_URL is set and DATABASE_URL is not. Set both, or neither.")
    return raw


def _broker(environ: Mapping[str, str]) -> str | None:
    raw = environ.get("CELERY_BROKER_URL", "").strip()
    if raw and not _BROKER.match(raw):
        raise StartRefusedError(
            "CELERY_BROKER_URL must begin with redis://, rediss://, sentinel://, amqp://, amqps:// or sqla+postgresql://."
        )
    return raw or None


def _web_address(environ: Mapping[str, str], name: str) -> str | None:
    raw = environ.get(name, "").strip()
    if not raw:
        return None
    parts = urlsplit(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _has_port(parts):
        raise StartRefusedError(f"{name} is {raw!r}. It must be an address such as http://127.0.0.1:5000.")
    return raw.rstrip("/")


def _has_port(parts: SplitResult) -> bool:
    """Whether the port, where there is one, is a port."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def upstream(environ: Mapping[str, str]) -> Upstream:
    """Where MLFLOW_UPSTREAM points, and the login for it. Raises StartRefusedError for what does not fit together."""
    if "@" in environ.get("MLFLOW_UPSTREAM", ""):  # before anything that would say the address aloud
        raise StartRefusedError(
            "MLFLOW_UPSTREAM must not carry a login: put it into MLFLOW_UPSTREAM_USERNAME and "
            "MLFLOW_UPSTREAM_PASSWORD, or into MLFLOW_UPSTREAM_TOKEN."
        )
    url = _web_address(environ, "MLFLOW_UPSTREAM")
    user, password = environ.get("MLFLOW_UPSTREAM_USERNAME", ""), environ.get("MLFLOW_UPSTREAM_PASSWORD", "")
    token = environ.get("MLFLOW_UPSTREAM_TOKEN", "")
    if url is None:
        if user or password or token:
            raise StartRefusedError("There is a login for an upstream MLflow server, and MLFLOW_UPSTREAM names none.")
        return Upstream()
    if "?" in url or "#" in url or any(letter.isspace() for letter in url):
        raise StartRefusedError("MLFLOW_UPSTREAM must be an address alone, such as https://mlflow.example:5000.")
    if bool(user) != bool(password) or (token and user) or not all(map(_fits_header, (user, password, token))):
        raise StartRefusedError(
            "The login for MLFLOW_UPSTREAM is MLFLOW_UPSTREAM_USERNAME with MLFLOW_UPSTREAM_PASSWORD, or "
            "MLFLOW_UPSTREAM_TOKEN alone, without line breaks."
        )
    if ":" in user:
        raise StartRefusedError("MLFLOW_UPSTREAM_USERNAME holds a colon, which HTTP Basic cannot carry.")
    if token:
        return Upstream(url, f"Bearer {token}")
    return Upstream(url, f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else "")


def _fits_header(value: str) -> bool:
    return not any(ord(letter) < 32 or ord(letter) == 127 for letter in value)


def _check_administrator(environ: Mapping[str, str]) -> None:
    user, password = environ.get("PLIMSOLL_ADMIN_USER", ""), environ.get("PLIMSOLL_ADMIN_PASSWORD", "")
    if bool(user) != bool(password):
        missing = "PLIMSOLL_ADMIN_PASSWORD" if user else "PLIMSOLL_ADMIN_USER"
        raise StartRefusedError(f"PLIMSOLL_ADMIN_USER and PLIMSOLL_ADMIN_PASSWORD go together; {missing} is missing.")


def load(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy of `environ` in which the addresses of the installation running on its data directory are filled in.

    What is already set wins. A record left behind by a supervisor that is gone is not used.
    """
    filled = dict(environ)
    for name, value in read_record(data_directory(environ)).items():
        if not filled.get(name):
            filled[name] = value
    return filled


def read_record(data: Path) -> dict[str, str]:
    """The record of the installation running on `data`; empty when none is."""
    record = _read(data)
    if not _alive(record.get("supervisor")):
        return {}
    told = record.get("environment")
    if not isinstance(told, dict):
        return {}
    return {str(name): str(value) for name, value in told.items() if name in HANDED_OVER}


def recorded_by(data: Path) -> int | None:
    """The process number of the supervisor that wrote the record, whether or not it still runs."""
    pid = _read(data).get("supervisor")
    return pid if isinstance(pid, int) else None


def _read(data: Path) -> dict[str, object]:
    try:
        record = json.loads((data / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(data: Path, told: Mapping[str, str], *, supervisor: int) -> None:
    """Leave word for other shells. Readable by the owner only, and replaced in one step."""
    record = {"supervisor": supervisor, "environment": {name: told[name] for name in HANDED_OVER if name in told}}
    draft = data / f".{RECORD}.{supervisor}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1, sort_keys=True)
    draft.replace(data / RECORD)


def forget_record(data: Path) -> None:
    """Take the word back when the installation stops."""
    (data / RECORD).unlink(missing_ok=True)


def _alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
