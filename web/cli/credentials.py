"""Where the service is and who is calling: from the environment, else from what ``plimsoll login`` kept."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True)
class Credentials:
    """The service's address without a slash at its end, and a bearer token."""

    url: str
    token: str


def path() -> Path:
    """The file that ``login`` writes, for its owner only."""
    folder = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "plimsoll" / "credentials.json"


def found() -> Credentials:
    """The credentials to use. Ends the command with a sentence when there are none."""
    url, token = os.environ.get("PLIMSOLL_URL", ""), os.environ.get("PLIMSOLL_TOKEN", "")
    if url and token:
        return Credentials(checked_url(url), token)
    try:
        kept = json.loads(path().read_text(encoding="utf-8"))
        return Credentials(checked_url(url or kept["url"]), token or kept["token"])
    except FileNotFoundError:
        raise click.ClickException(
            "Nobody is logged in here. Run `plimsoll login URL`, or set PLIMSOLL_URL and PLIMSOLL_TOKEN."
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise click.ClickException(f"{path()} cannot be read as credentials. Run `plimsoll login URL` again.") from None


def keep(credentials: Credentials) -> Path:
    """Write the credentials so that nobody else on the machine can read them; where they are."""
    path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps({"url": credentials.url, "token": credentials.token})
    beside = path().with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path())
    return path()


def drop() -> bool:
    """Forget the credentials; whether there were any."""
    try:
        path().unlink()
    except FileNotFoundError:
        return False
    return True


def checked_url(url: str) -> str:
    """An address of a service. Ends the command when it is none, or when the token would go over the net in clear."""
    clean = url.strip().rstrip("/")
    scheme, _, rest = clean.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if scheme not in {"http", "https"} or not name or "@" in rest.partition("/")[0]:
        raise click.ClickException(f"{url!r} is not the address of a service: give it as https://host or http://host.")
    if scheme == "http" and not is_local(name) and os.environ.get("PLIMSOLL_ALLOW_HTTP") != "1":
        raise click.ClickException(
            f"Over plain http anyone on the way to {name} could read the token. Use https, or PLIMSOLL_ALLOW_HTTP=1."
        )
    return clean


def is_local(name: str) -> bool:
    """Whether a host name means this machine."""
    return name in {"localhost", "[::1]", "::1"} or name.startswith("127.")
