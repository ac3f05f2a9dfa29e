"""One JSON object per line, nothing secret in it, and files that do not grow for ever."""

import json
import logging

import pytest

from deploy.run.logs import MASK, JsonFormatter, Log, Mask, secrets_in


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("connect postgresql://me:hunter22@db/x", f"connect postgresql://me:{MASK}@db/x"),
        ("Authorization: Bearer abc.def-123_456", f"Authorization: Bearer {MASK}"),
        ("Authorization: Basic dXNlcjpwYXNz", f"Authorization: Basic {MASK}"),
        ('{"password": "hunter22", "n": 1}', f'{{"password": "{MASK}", "n": 1}}'),
        ("GET /x?token=abcdef123&y=2", f"GET /x?token={MASK}&y=2"),
        ("http://h/sign-in/0123456789abcdefghij now", f"http://h/sign-in/{MASK} now"),
        ("http://h/sign-in/link/plim_6Yel4Sd3ljtNiBag-eoA/", f"http://h/sign-in/link/plim_{MASK}/"),
        ("as plim_0123456789ab.", f"as plim_{MASK}."),
        ("host=/tmp/x user=me", "host=/tmp/x user=me"),
        ("the tokenizer has 3 tokens", "the tokenizer has 3 tokens"),
        ("http://127.0.0.1:8000/models", "http://127.0.0.1:8000/models"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_masked_and_nothing_else(line, shown):
    assert Mask()(line) == shown


def test_values_known_to_be_secret_are_masked_wherever_they_turn_up():
    secrets = secrets_in(
        {
            "PLIMSOLL_ADMIN_PASSWORD": "correct horse",
            "DATABASE_URL": "postgresql://u:staple99@h/d",
            "PLIMSOLL_SECRET_KEY": "0123456789",
            "PLIMSOLL_DATA": "/srv/plimsoll",
            "SHORT_TOKEN": "ab",
        }
    )
    assert secrets == {"correct horse", "staple99", "0123456789"}
    assert Mask(secrets)("said correct horse to staple99 in /srv/plimsoll") == f"said {MASK} to {MASK} in /srv/plimsoll"


def test_every_line_becomes_one_json_object(tmp_path):
    log = Log(tmp_path, "web", Mask())
    log.write('{"level": "info", "message": "hello", "process": "forged"}')
    log.write("  plain words, “quoted”\r")
    log.write("   ")
    log.write("{not json")
    log.close()
    entries = [json.loads(line) for line in (tmp_path / "web.log").read_text().splitlines()]
    assert [entry["message"] for entry in entries] == ["hello", "  plain words, “quoted”", "{not json"]
    assert {entry["process"] for entry in entries} == {"web"}
    assert entries[0]["level"] == "info"
    assert list(log.tail) == ["hello", "  plain words, “quoted”", "{not json"]


def test_files_are_bounded_in_number_and_size(tmp_path):
    log = Log(tmp_path, "web", Mask(), largest=1000)
    for number in range(100):
        log.write(f"line {number:03} " + "x" * 100)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert {file.name for file in files} <= {"web.log", "web.log.1", "web.log.2", "web.log.3"}
    assert len(files) == 4 or len(files) == 3
    assert all(file.stat().st_size < 1400 for file in files)
    assert "line 099" in "".join(file.read_text() for file in files)


def test_the_formatter_masks_messages_extras_and_traces():
    try:
        raise ValueError("postgresql://u:hunter22@h/d is down")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, __file__, 1, "token=%s", ("abcdef123",), (type(error), error, None)
        )
    record.model = "credit"
    record.address = "postgresql://u:hunter22@h/d"
    record.rows = 3
    entry = json.loads(JsonFormatter().format(record))
    assert entry["message"] == f"token={MASK}"
    assert (entry["model"], entry["rows"], entry["level"]) == ("credit", 3, "error")
    assert "hunter22" not in json.dumps(entry)
