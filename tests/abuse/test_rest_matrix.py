"""Every REST address against bad bodies, bad addresses, bad headers and every kind of caller.

No answer is a 5xx, every refusal has the one shape, says a sentence and gives nothing away, and nothing is written.
What is refused by rule, and recorded, is in test_refusals_recorded.py.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from access.roles import Role
from audit.errors import Invalid
from audit.models import Event
from registry import columns
from tests import factories
from tests.abuse import surface
from tests.abuse.surface import BODYLESS, GETS, MEGABYTE, POSTS, ROUTES, Case, Faults, Route, caller, callers, send

JSON = "application/json"
BOUNDARY = "multipart/form-data; boundary=b"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def case(db: None) -> Case:
    return surface.case()


def multipart(*parts: tuple[str, str, bytes]) -> bytes:
    """A multipart body: (name, file name or "", content)."""
    lines = b""
    for name, filename, content in parts:
        file = f'; filename="{filename}"' if filename else ""
        lines += f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"
    return lines + b"--b--\r\n"


# No address takes these, whatever it is for.
BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", JSON),
    "words": (b"hello", JSON),
    "an array": (b"[1]", JSON),
    "a number": (b"7", JSON),
    "null": (b"null", JSON),
    "a string": (b'"text"', JSON),
    "two objects": (b"{}{}", JSON),
    "deep arrays": (b"[" * 100_000, JSON),
    "deep objects": (b'{"a":' * 100_000, JSON),
    "deep and closed": (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", JSON),
    "a number of 10,000 digits": (b'{"a": ' + b"9" * 10_000 + b"}", JSON),
    "NaN": (b'{"comment": NaN}', JSON),
    "infinity": (b'{"comment": 1e999, "a": Infinity}', JSON),
    "an unknown field": (b'{"colour": "red"}', JSON),
    "an unknown field of one megabyte": (json.dumps({MEGABYTE: 1}).encode(), JSON),
    "a field named NUL": (b'{"\\u0000": 1}', JSON),
    "a field named by half a pair": (b'{"\\ud800": 1}', JSON),
    "invalid UTF-8": (b'{"comment": "\xff\xfe"}', JSON),
    "a surrogate in UTF-8": (b'{"comment": "\xed\xa0\x80"}', JSON),
    "UTF-16": ('{"comment": "x"}'.encode("utf-16"), JSON),
    "one megabyte of spaces": (b" " * 1_000_000, JSON),
    "plain text": (b'{"comment": "x"}', "text/plain"),
    "XML": (b"<comment/>", "application/xml"),
    "a form": (b"comment=x", FORM),
    "an empty type": (b'{"comment": "x"}', ""),
    "a type that is none": (b'{"comment": "x"}', "\u00e9/;;=;"),
    "another charset": (b'{"comment": "x"}', "application/json; charset=utf-16"),
    "a codec": (b'{"comment": "x"}', "application/json; charset=rot13"),
    "a packing codec": (b'{"comment": "x"}', "application/json; charset=zlib_codec"),
    "no charset": (b'{"comment": "x"}', "application/json; charset=no-such"),
}  # fmt: skip
# An address whose fields are all optional takes these.
BARE: dict[str, tuple[bytes, str]] = {"nothing": (b"", JSON), "an empty object": (b"{}", JSON), "no type": (b"", "")}
BAD_MULTIPART: dict[str, tuple[bytes, str]] = {
    "a file where JSON is due": (multipart(("file", "a.csv", b"a\n1\n")), BOUNDARY),
    "without a boundary": (multipart(("comment", "", b"x")), "multipart/form-data"),
    "a boundary that is none": (multipart(("comment", "", b"x")), "multipart/form-data; boundary=\u00e9"),
    "cut short": (multipart(("comment", "", b"x"))[:-20], BOUNDARY),
}
BAD_VALUES: dict[str, Any] = {
    "null": None, "a number": 7, "a negative number": -1, "a huge number": 10**30, "a fraction": 1.5, "true": True,
    "a list": [], "a list of lists": [[[]]], "an object": {}, "empty": "", "blanks": " \t\n ", "NUL": "a\x00b",
    "half a pair": "\ud800", "one megabyte": MEGABYTE, "emoji": "\U0001f4a5", "right to left": "\u202eabc",
    "a line more": "x\n", "SQL": "'; DROP TABLE registry_decision; --", "markup": "<script>alert(1)</script>",
    "a template": "{{ 7 }}%s%(x)s{0}", "not normalised": "e\u0301", "a date too early": "0001-01-01T00:00:00+23:59",
    "a date too late": "9999-12-31T23:59:59-23:59", "no date": "2026-02-30",
}  # fmt: skip
UNKNOWN = "01a203b4-9166-71d2-9ef1-85abbecc0aa2"
BAD_PARTS: dict[str, str] = {
    "unknown id": UNKNOWN, "no id": "not-a-uuid", "very long": "x" * 5_000,
    "NUL": "a%00b", "dots": "%2e%2e", "dots and slash": "%2e%2e%2fetc", "emoji": "%F0%9F%92%A5",
    "right to left": "%E2%80%AEabc", "a line more": "1%0A", "an id and a line": f"{UNKNOWN}%0A",
    "invalid UTF-8": "%FF%FE", "half a pair": "%ED%A0%80", "a huge number": "9" * 40, "zero": "0", "minus": "-1",
    "another digit": "%D9%A1", "a quote": "'", "percent": "%25", "a wildcard": "*", "a blank": "%20", "not normalised":
    "e%CC%81", "braces": f"%7B{UNKNOWN}%7D", "question": "%3F", "semicolon": ";x=1",
}  # fmt: skip


ASKED_BY_ALL = {"not JSON", "an array", "an unknown field", "plain text", "nothing", "an empty object"}


# Addresses whose body may be empty, so that an empty one is a good one.
ASKS_NOTHING = {
    "withdraw", "resubmit", "erasure-discover", "erasure-execute", "checks", "close-account", "reset-password"
}  # fmt: skip


def reads_json(route: Route) -> bool:
    return route.name not in BODYLESS and route.name != "data-sets"


def test_the_matrix_knows_a_good_body_for_every_address_that_reads_one(case: Case) -> None:
    assert {route.name for route in POSTS if reads_json(route)} == set(surface.good_bodies(case))


@pytest.mark.parametrize("route", POSTS, ids=lambda route: route.name)
def test_a_bad_body_is_refused_whoever_sends_it_and_writes_nothing(case: Case, route: Route) -> None:
    faults, bodies = Faults(), {**BAD_BODIES, **BARE}
    if route.name != "data-sets":
        bodies |= BAD_MULTIPART
    everybody = list(callers())
    before = surface.state()
    for who, client in everybody:
        for what, (body, kind) in bodies.items():
            if what not in ASKED_BY_ALL and who not in {"viewer", "every role"}:
                continue  # what is unreadable is so before anybody's roles are asked for
            answer = send(client, "POST", case.address(route), body, kind)
            faults.check(answer, f"{route.name}, {who}, {what}", refused=reads_json(route) and what not in BARE)
    faults.none()
    if route.name not in ASKS_NOTHING:
        assert surface.state() == before


@pytest.mark.parametrize("route", [route for route in POSTS if reads_json(route)], ids=lambda route: route.name)
def test_a_bad_value_in_any_field_is_no_accident(case: Case, route: Route) -> None:
    faults, client = Faults(), caller(*Role)
    good = surface.good_bodies(case)[route.name]
    for field in good:
        for what, value in BAD_VALUES.items():
            answer = send(client, "POST", case.address(route), json.dumps({**good, field: value}))
            faults.check(answer, f"{route.name}.{field}, {what}")
        without = {name: value for name, value in good.items() if name != field}
        faults.check(send(client, "POST", case.address(route), json.dumps(without)), f"{route.name}.{field}, missing")
        twice = json.dumps(good)[:-1] + f', "{field}": {json.dumps(good[field])}}}'
        faults.check(send(client, "POST", case.address(route), twice), f"{route.name}.{field}, twice", refused=True)
    faults.none()


@pytest.mark.parametrize("route", [route for route in ROUTES if route.parts], ids=lambda route: route.name)
def test_a_bad_part_of_the_address_is_not_found_or_refused(case: Case, route: Route) -> None:
    faults = Faults()
    body = json.dumps(surface.good_bodies(case).get(route.name, {}))
    # Anonymous and without a role come first: neither can change what the others meet.
    everybody = [("anonymous", Client(raise_request_exception=False)), ("no role", caller()), ("all", caller(*Role))]
    before = surface.state()
    for who, client in everybody:
        for part in route.parts:
            for what, value in BAD_PARTS.items():
                for method in route.methods:
                    answer = send(
                        client, method, case.address(route, **{part: value}), body if method == "POST" else b""
                    )
                    faults.check(answer, f"{method} {route.name}.{part}, {who}, {what}", refused=True)
    faults.none()
    assert surface.state() == before


def test_every_method_on_every_address(case: Case) -> None:
    faults = Faults()
    everybody = [("anonymous", Client(raise_request_exception=False)), ("no role", caller()), ("all", caller(*Role))]
    for who, client in everybody:
        for route in ROUTES:
            if route.name == "schema" and who != "anonymous":
                continue
            for method in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "GET", "POST"):
                if method in route.methods:
                    continue
                answer = send(client, method, case.address(route), b"{}")
                faults.check(answer, f"{method} {route.name}, {who}", refused=True)
                assert answer.status_code == 405, (method, route.name, who)
                assert set(route.methods) <= set(answer["Allow"].split(", "))
    faults.none()


def test_head_says_what_get_says_and_options_names_the_methods(case: Case) -> None:
    client, nobody = caller(*Role), Client(raise_request_exception=False)
    for route in ROUTES:
        address = case.address(route)
        if "GET" in route.methods:
            head, full = send(client, "HEAD", address), send(client, "GET", address)
            assert (head.status_code, head.content) == (full.status_code, b""), route.name
            assert send(nobody, "HEAD", address).status_code == send(nobody, "GET", address).status_code, route.name
        for who in (client, nobody):
            answer = send(who, "OPTIONS", address)
            assert answer.status_code == 204, (route.name, answer.content)
            assert set(answer["Allow"].split(", ")) >= {*route.methods, "OPTIONS"}
            assert answer.content == b""


def test_bad_headers(case: Case) -> None:
    faults, client = Faults(), caller(*Role)
    credentials = [
        "Basic", "Basic ", "Basic !!!", "Basic \u00e9\u00e8", "Basic " + "QQ" * 50_000, "Basic Og==", "Basic AAAA",
        "Basic /////w==", "Bearer", "Bearer ", "Bearer \u00e9", "Bearer " + "x" * 50_000, "Bearer a b c", "Digest x",
        "bearer plim_x", "\u00e9", "Negotiate " + "A" * 9_000,
    ]  # fmt: skip
    for route in ROUTES[1:]:
        address, method = case.address(route), route.methods[0]
        for accept in ("text/html", "application/xml", "x", "*/*;q=0", "application/json;version=\u00e9", ","):
            faults.check(send(client, method, address, b"", Accept=accept), f"{route.name}, Accept {accept!r}")
        for given in (
            credentials if route.name in {"me", "decide", "trail-export"} else ["Basic \u00e9", "Bearer \u00e9"]
        ):
            answer = send(Client(raise_request_exception=False), method, address, b"", Authorization=given)
            faults.check(answer, f"{route.name}, Authorization {given[:20]!r}", refused=True)
            if given:
                assert answer.status_code == 401, (route.name, given[:20])
    for sent in ("x" * 9_000, "\u00e9", '"', "*", '""', 'W/"x"', "\x0b"):
        for name in ("apply", "erasure-approve"):
            route = next(route for route in ROUTES if route.name == name)
            answer = send(client, "POST", case.address(route), b"{}", **{"If-Match": sent})
            faults.check(answer, f"{name}, If-Match {sent[:9]!r}", refused=True)
    for sent in ("\u00b2", "-1", "x", " ", "9" * 30, "\u0661"):
        answer = Client(raise_request_exception=False).post(
            "/api/v1/tokens/", b"{}", content_type=JSON, CONTENT_LENGTH=sent
        )
        faults.check(answer, f"Content-Length {sent!r}", refused=True)
    for host in ("evil.example", "a b", "\u00e9", "[::1"):
        faults.check(send(client, "GET", "/api/v1/me/", Host=host), f"Host {host!r}", refused=True)
    faults.none()


def test_a_charset_of_a_request_changes_no_reading_of_its_address(case: Case) -> None:
    client = caller(*Role)
    for charset in ("rot13", "utf-16", "zlib_codec", "latin-1", "\u00e9"):
        answer = send(client, "GET", "/api/v1/trail/?log=%61dmin", b"", f"text/plain; charset={charset}")
        assert answer.status_code == 200, (charset, answer.content)


EARLY, LATE = "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"
BAD_FILTERS = (
    "%00", "%FF", "%ED%A0%80", "x" * 5_000, "%F0%9F%92%A5", "%0A", "'", "-1", EARLY, LATE, "2026-02-30",
    "2026-01-01/not-an-id", "/", f"{EARLY}/{UNKNOWN}", f"{LATE}/{UNKNOWN}", f"2026-01-01/{UNKNOWN}", "2026-W01-1",
    "20260101", "24:00",
)  # fmt: skip
FILTERS = ("log", "action", "outcome", "object_type", "object_id", "person", "since", "until", "after")
QUERIES = [f"{name}={value}" for name in FILTERS for value in BAD_FILTERS] + [
    "colour=red", "%00=1", "log", "=", "&&&", "log=admin" * 500, "since=2027-01-01&until=2026-01-01", "%FF=%FF",
    "a=1&" * 2_000, "log=access&log=admin",
]  # fmt: skip


def test_bad_filters_of_a_search(case: Case) -> None:
    faults, client = Faults(), caller(Role.AUDITOR)
    for query in QUERIES:
        faults.check(send(client, "GET", f"/api/v1/trail/?{query}"), f"trail/?{query[:60]}")
    faults.none()


def test_bad_filters_of_an_export_of_a_signed_log(fresh_database: str) -> None:
    factories.account(Role.VIEWER)
    faults, client = Faults(), caller(Role.AUDITOR)
    sequence()
    taken = 0
    for query in QUERIES:
        answer = send(client, "POST", f"/api/v1/trail/export/?{query}")
        faults.check(answer, f"export/?{query[:60]}")
        taken += answer.status_code == 200
        b"".join(answer) if answer.streaming else answer.content
        assert answer.status_code != 503, query
        answer.close()
    faults.none()
    assert 0 < taken < len(QUERIES) / 2


def sequence() -> None:
    """Give every entry its place and sign the log, as the sequencer's own database role."""
    address = os.environ["PLIMSOLL_DB_SEQUENCER"].replace("/plimsoll?", f"/{connection.settings_dict['NAME']}?")
    environ = {**os.environ, "PLIMSOLL_ROLE": "sequencer", "PLIMSOLL_DB_SEQUENCER": address}
    subprocess.run([sys.executable, "manage.py", "sequencer", "--once"], check=True, env=environ, capture_output=True)


def test_bad_queries_elsewhere_are_of_no_consequence(case: Case) -> None:
    faults, client = Faults(), caller(*Role)
    for route in GETS:
        if route.name == "trail":
            continue
        for query in ("format=xml", "format=%00", "%FF=%FF", "page=-1", "_method=DELETE", "version=9", "lang=xx"):
            if route.name != "schema" or query in {"format=%00", "version=9", "lang=xx"}:
                faults.check(send(client, "GET", f"{case.address(route)}?{query}"), f"{route.name}?{query}")
    faults.none()


GOOD_ABOUT: dict[str, Any] = {
    "name": "rows", "role": "training", "label": "risk", "favourable": 1,
    "protected": [{"name": "sex", "column": "sex", "privileged": {"op": "in", "value": ["male"]}}],
    "identifiers": {"id": "row_id"}, "excluded": ["id"], "mlflow_digest": "abc",
}  # fmt: skip
TABLE = b"id,sex,risk\n1,male,1\n2,female,0\n"


def about_values() -> Iterator[tuple[str, bytes]]:
    """What may be in the form field ``about`` that cannot be read."""
    for what, (body, kind) in BAD_BODIES.items():
        if kind == JSON:
            yield what, body
    for what, value in (("NUL", "a\x00b"), ("half a pair", "\ud800"), ("NaN", float("nan")), ("too much", 10**400)):
        yield f"favourable, {what}", json.dumps({**GOOD_ABOUT, "favourable": value}).encode()
    for field in ("name", "role", "label", "excluded", "identifiers", "protected", "mlflow_digest"):
        yield f"{field}, an object", json.dumps({**GOOD_ABOUT, field: {"a": {}}}).encode()
        yield f"{field}, one megabyte", json.dumps({**GOOD_ABOUT, field: MEGABYTE}).encode()
    yield "twice", json.dumps(GOOD_ABOUT)[:-1].encode() + b', "role": "evaluation"}'


def test_a_bad_upload_is_refused_and_leaves_no_row(case: Case) -> None:
    faults, client, route = Faults(), caller(*Role), next(route for route in ROUTES if route.name == "data-sets")
    good = json.dumps(GOOD_ABOUT).encode()
    address, before = case.address(route), surface.state()
    bodies = {
        "no file": multipart(("about", "", good)),
        "no about": multipart(("file", "a.csv", TABLE)),
        "a file that is text": multipart(("file", "", TABLE), ("about", "", good)),
        "an empty file": multipart(("file", "a.csv", b""), ("about", "", good)),
        "a file of noise": multipart(("file", "a.parquet", b"PAR1" + bytes(range(256)) * 9), ("about", "", good)),
        "a heading only": multipart(("file", "a.csv", b"id,sex,risk\n"), ("about", "", good)),
        "about as a file": multipart(("file", "a.csv", TABLE), ("about", "about.json", good)),
        "a file name that climbs": multipart(("file", "../../etc/passwd", b""), ("about", "", good)),
        "2,000 fields": multipart(*[(f"f{number}", "", b"x") for number in range(2_000)]),
        "200 files": multipart(*[(f"f{number}", "f", b"x") for number in range(200)]),
        "cut short": multipart(("file", "a.csv", TABLE), ("about", "", good))[:-30],
    }  # fmt: skip
    for what, body in bodies.items():
        faults.check(send(client, "POST", address, body, BOUNDARY), what, refused=what != "cut short")
    for kind in (
        JSON,
        FORM,
        "text/csv",
        "multipart/form-data",
        "multipart/form-data; boundary=\u00e9",
        "multipart/mixed; boundary=b",
    ):
        faults.check(send(client, "POST", address, bodies["no about"], kind), f"as {kind}", refused=True)
    faults.none()
    assert surface.state() == before


def test_an_about_that_cannot_be_meant_is_refused(case: Case) -> None:
    faults, client, route = Faults(), caller(*Role), next(route for route in ROUTES if route.name == "data-sets")
    before = surface.state()
    for what, about in about_values():
        body = multipart(("file", "a.csv", TABLE), ("about", "", about))
        faults.check(send(client, "POST", case.address(route), body, BOUNDARY), f"about, {what}", refused=True)
    faults.none()
    assert surface.state() == before


def test_whatever_is_said_of_columns_is_taken_as_plain_json_or_refused() -> None:
    table = [{"name": "id", "type": "BIGINT"}, {"name": "sex", "type": "VARCHAR"}, {"name": "risk", "type": "DOUBLE"}]
    good = {name: GOOD_ABOUT[name] for name in ("label", "favourable", "protected", "identifiers", "excluded")}
    sex = GOOD_ABOUT["protected"][0]
    values = [*BAD_VALUES.values(), float("nan"), float("inf"), [None], {"id": None}, {"": ""}]
    said = [{**good, "favourable": value} for value in values]
    for value in values:
        said += [
            {**good, "protected": [entry]}
            for entry in (
                {**sex, "name": value},
                {**sex, "column": value},
                {**sex, "privileged": value},
                {**sex, "privileged": {"op": value, "value": value}},
                {**sex, "privileged": {"op": "in", "value": [value]}},
                {"column": "risk", "privileged": {"op": ">", "value": value}},
                {"column": "id", "privileged": {"op": ">=", "value": value}},
            )
        ]
    taken = 0
    for each in said:
        try:
            found = vars(columns.meaning(table, **each))
        except Invalid:
            continue
        taken += 1
        text = json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
        assert b"\\u0000" not in text, "PostgreSQL stores no NUL, in JSON neither"
    assert 0 < taken < len(said) / 2


def test_reads_and_malformed_requests_leave_no_entry_of_a_change(case: Case) -> None:
    client = caller(*Role)
    before = Event.objects.filter(log="admin").count()
    for route in GETS:
        send(client, "GET", case.address(route))
    for route in POSTS:
        if reads_json(route):
            send(client, "POST", case.address(route), b"{")
    assert Event.objects.filter(log="admin").count() == before
