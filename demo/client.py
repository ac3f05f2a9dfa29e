"""How the demonstration talks to Plimsoll: REST with a token, pages with a session, and a sentence when it fails."""

import re
from dataclasses import dataclass, field
from typing import Any

import requests

TIMEOUT = 120


class StepFailedError(Exception):
    """A step did not do what it must; the sentence says what was seen."""


def expect(condition: bool, sentence: str) -> None:
    """Stop the demonstration unless ``condition`` holds."""
    if not condition:
        raise StepFailedError(sentence)


@dataclass
class Person:
    """One account, on every surface."""

    url: str
    name: str
    password: str
    token: str
    browser: requests.Session = field(default_factory=requests.Session)

    def call(
        self,
        method: str,
        path: str,
        *,
        status: int | tuple[int, ...] = (200, 201, 202),
        raw: bool = False,
        **options: Any,
    ) -> Any:
        """One REST call; the parsed body, or with ``raw`` the response. Another status stops the demonstration."""
        answer = requests.request(
            method,
            f"{self.url}/api/v1/{path}",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=TIMEOUT,
            **options,
        )
        wanted = (status,) if isinstance(status, int) else status
        expect(
            answer.status_code in wanted, f"{self.name}: {method} {path} → {answer.status_code}: {answer.text[:500]}"
        )
        return answer if raw else answer.json()

    def sign_in(self) -> None:
        """Sign in on the page, as a browser does."""
        self._send("/sign-in/", {"username": self.name, "password": self.password})

    def page(self, path: str) -> str:
        """The text of a page."""
        answer = self.browser.get(self.url + path, timeout=TIMEOUT)
        expect(answer.status_code == 200, f"{self.name}: the page {path} → {answer.status_code}")
        return answer.text

    def _send(self, path: str, values: dict[str, str]) -> requests.Response:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page(path))
        expect(found is not None, f"the page {path} has no form")
        token = found.group(1) if found else ""
        answer = self.browser.post(
            self.url + path,
            data={**values, "csrfmiddlewaretoken": token},
            headers={"Referer": self.url + path},
            timeout=TIMEOUT,
        )
        expect(answer.status_code == 200, f"{self.name}: sending the form {path} → {answer.status_code}")
        return answer
