"""Exports over REST and on the pages: at once or by a worker, with progress, and for nobody but who asked."""

import io
import re
import zipfile
from pathlib import Path

import pytest
from django.test import Client

from access.actions import create_token
from access.models import User
from access.roles import Role
from audit import exporting, exports
from audit.actors import SYSTEM
from audit.clock import now
from audit.models import Event, Export
from tests import factories
from tests.audit import grown_log
from tests.web.pages.case import client_of
from tests.web.pages.test_pages_promotion import text_of


@pytest.fixture
def auditor(fresh_database: str, tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch) -> User:
    monkeypatch.setenv("CELERY_BROKER_URL", "memory://")
    settings.PLIMSOLL_DATA = tmp_path
    settings.PLIMSOLL_EXPORT_INLINE = 100
    grown_log.grow(grown_log.a_key(), 300)
    return factories.account(Role.AUDITOR)


def rest(user: User) -> Client:
    _, token = create_token(by=SYSTEM, user=user, name="test", expires_at=None)
    return Client(headers={"Authorization": f"Bearer {token}"})


def asked(client: Client, query: str = "log=access") -> dict:
    answer = client.post(f"/api/v1/trail/exports/?{query}")
    assert answer.status_code == 202, answer.content
    assert answer["Location"] == f"/api/v1/trail/exports/{answer.json()['id']}/"
    return answer.json()


def test_a_large_export_is_asked_for_watched_and_fetched(auditor: User) -> None:
    client = rest(auditor)
    told = asked(client)
    assert {name: told[name] for name in ("state", "log", "size", "done", "total", "digest", "download", "error")} == {
        "state": "queued", "log": "access", "size": 300, "done": 0, "total": None, "digest": None, "download": None,
        "error": "",
    }  # fmt: skip
    waiting = client.get(f"/api/v1/trail/exports/{told['id']}/download/")
    assert (waiting.status_code, waiting.json()["error"]["code"]) == (409, "export_not_ready")
    exporting.run(told["id"])
    done = client.get(f"/api/v1/trail/exports/{told['id']}/").json()
    assert (done["state"], done["done"], done["total"]) == ("done", 300, 300)
    assert client.get("/api/v1/trail/exports/").json() == [done]
    answer = client.get(done["download"])
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert answer["Content-Disposition"] == 'attachment; filename="plimsoll-trail-access-300.zip"'
    assert (answer["Cache-Control"], answer["Content-Type"]) == ("no-store", "application/zip")
    assert (answer["X-Plimsoll-Sha256"], len(content)) == (done["digest"], done["bytes"])
    assert zipfile.ZipFile(io.BytesIO(content)).read("events.ndjson").count(b"\n") == 300


def test_another_accounts_export_is_not_found(auditor: User) -> None:
    told = asked(rest(auditor))
    exporting.run(told["id"])
    other = factories.account(Role.AUDITOR)
    for address in (f"/api/v1/trail/exports/{told['id']}/", f"/api/v1/trail/exports/{told['id']}/download/"):
        assert rest(other).get(address).status_code == 404
    assert rest(other).get("/api/v1/trail/exports/").json() == []
    assert client_of(other).get(f"/trail/exports/{told['id']}/").status_code == 404
    own = client_of(auditor).get(f"/trail/exports/{told['id']}/")
    assert own.status_code == 200
    own.close()
    officer = factories.account(Role.COMPLIANCE_OFFICER)
    assert rest(officer).get("/api/v1/trail/exports/").status_code == 403
    assert client_of(officer).get("/trail/exports/").status_code == 403
    assert Client().get(f"/api/v1/trail/exports/{told['id']}/download/").status_code == 401


def test_what_is_too_large_for_one_request_says_where_to_ask(auditor: User) -> None:
    answer = rest(auditor).post("/api/v1/trail/export/?log=access")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "export_too_large")
    assert "trail/exports/" in answer.json()["error"]["sentence"]
    small = rest(auditor).post("/api/v1/trail/export/?log=access&action=trail.view&disclosures=false&views=csv")
    with zipfile.ZipFile(io.BytesIO(b"".join(small.streaming_content))) as files:  # type: ignore[attr-defined]
        assert [name for name in files.namelist() if name.startswith("events.")] == ["events.csv", "events.ndjson"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("log=x", "bad_filter"),
        ("log=access%22%0d%0aX-Injected:%201", "bad_filter"),
        ("views=xml", "bad_view"),
        ("views=csv,,", "bad_view"),
        ("disclosures=maybe", "bad_disclosures"),
        ("previous_size=-1", "bad_previous_size"),
        ("log=access&previous_size=17", "bad_previous_size"),
        ("previous_size=1e3", "bad_previous_size"),
        ("colour=red", "bad_filter"),
    ],
)
def test_what_cannot_be_asked_for(auditor: User, query: str, code: str) -> None:
    client = rest(auditor)
    for address in ("exports", "export"):
        answer = client.post(f"/api/v1/trail/{address}/?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), (address, answer.content)
        assert "X-Injected" not in answer
    assert not Export.objects.exists()


def test_the_page_hands_a_large_export_to_a_worker_and_shows_how_far_it_is(auditor: User) -> None:
    client = client_of(auditor)
    answer = client.post("/trail/export/", {"log": "access", "views": "csv", "disclosures": "false"})
    assert (answer.status_code, answer["Location"]) == (302, "/trail/exports/")
    row = Export.objects.get()
    assert exports.asked_of(row).views == ("csv",)
    assert not exports.asked_of(row).disclosures
    page = client.get("/trail/exports/")
    assert "Look again" in text_of(page)
    Export.objects.filter(pk=row.pk).update(state="running", total=300, done=120, leased_until=now())
    shown = client.get("/trail/exports/").content.decode()
    assert re.search(r'<progress max="300" value="120"[^>]*>120 of 300</progress>', shown)
    Export.objects.filter(pk=row.pk).update(state="queued")
    exporting.run(str(row.pk))
    done = client.get("/trail/exports/").content.decode()
    assert f'href="/trail/exports/{row.pk}/"' in done
    assert "<progress" not in done
    assert Export.objects.get().digest in done
    assert "Look again" not in done
    taken = client.get(f"/trail/exports/{row.pk}/")
    assert taken["Content-Disposition"] == 'attachment; filename="plimsoll-trail-access-300.zip"'
    taken.close()
    assert Event.objects.filter(action="trail.export", outcome="success").count() == 1


def test_the_page_says_what_is_wrong_with_an_export(auditor: User) -> None:
    client = client_of(auditor)
    answer = client.post("/trail/export/", {"log": "access", "previous_size": "17"})
    assert answer.status_code == 400
    assert "No checkpoint of this log was signed at size 17; the nearest are at 300." in text_of(answer)
    assert "Enter a whole number." in text_of(client.post("/trail/export/", {"previous_size": "many"}))
    assert "Choose one of the views." in text_of(client.post("/trail/export/", {"views": "xml"}))
    assert client.get("/trail/exports/?log=access&object_type=registry").status_code == 200


def test_the_list_asks_as_often_for_one_export_as_for_thirty(auditor: User, django_assert_max_num_queries) -> None:
    client = client_of(auditor)
    asked(rest(auditor))
    client.get("/trail/exports/")
    row = Export.objects.get()
    with django_assert_max_num_queries(30) as one:
        client.get("/trail/exports/")
    for number in range(29):
        Export.objects.create(
            id=row.pk.__class__(int=row.pk.int + number + 1), account=row.account, asked_at=now(), query=row.query,
            log="access", state="done", size=300,
        )  # fmt: skip
    with django_assert_max_num_queries(len(one)):
        client.get("/trail/exports/")
