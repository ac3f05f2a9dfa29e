"""Calls to the service: one session, one way to say what went wrong. What to call belongs to the commands."""

from typing import Any, Final
from urllib.parse import quote, urlsplit

import click
import requests
from requests.auth import AuthBase

from web.cli.credentials import Credentials, is_local

Json = Any  # what an answer holds
_SECONDS: Final = (10.0, 120.0)  # to connect, and between two bytes
_REFUSED, _AWAY = 1, 3


class Refused(click.ClickException):
    """The service said no; its own sentence is shown."""

    exit_code = _REFUSED


class Away(click.ClickException):
    """The service did not answer."""

    exit_code = _AWAY


class _Bearer(AuthBase):
    """The token in each request; as an authentication of its own, so that no .netrc takes its place."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._token}"
        return r


class Service:
    """The REST interface of one service, as one account."""

    def __init__(self, url: str, auth: "Credentials | tuple[str, str]") -> None:
        self._base = f"{url}/api/v1/"
        self._session = requests.Session()
        self._session.trust_env = not is_local(urlsplit(url).hostname or "")  # no proxy stands before this machine
        self._session.headers["Accept"] = "application/json"
        self._session.auth = _Bearer(auth.token) if isinstance(auth, Credentials) else auth

    def get(self, *path: str, **params: str | int) -> Json:
        """Read what is at ``path``."""
        return self._call("GET", path, params=params)

    def post(self, *path: str, **given: Any) -> Json:
        """Act at ``path``; ``given`` goes to requests (``json``, ``files``, ``data``)."""
        return self._call("POST", path, **given)

    def delete(self, *path: str) -> Json:
        """Delete what is at ``path``."""
        return self._call("DELETE", path)

    def _call(self, method: str, path: tuple[str, ...], **given: Any) -> Json:
        address = self._base + "".join(f"{quote(name, safe='')}/" for name in path)
        try:
            answer = self._session.request(method, address, timeout=_SECONDS, allow_redirects=False, **given)
        except requests.RequestException as error:
            raise Away(f"{self._base} does not answer ({type(error).__name__}).") from None
        if answer.status_code >= 300:
            raise Refused(_sentence(answer))
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise Away(f"{self._base} answers, but not as Plimsoll does. Is the address right?") from None


def _sentence(answer: requests.Response) -> str:
    try:
        told = answer.json()
        sentence = told.get("detail") or told["error"]["sentence"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"The service answered {answer.status_code} without saying why. Is the address right?"
    return f"{sentence} ({answer.status_code})"
