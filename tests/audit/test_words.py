"""Which words of a text are looked for, and that their tokens tell nothing."""

import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from audit import keys, words
from audit.errors import Invalid

MAY = datetime(2026, 5, 31, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Anna Müller", ["anna", "muller"]),
        ("MU\u0308LLER straße", ["muller", "strasse"]),  # a combining mark; ß has no capital of its own
        ("ﬁle Ｆｕｌｌ ２０２６", ["file", "full", "2026"]),  # compatibility forms
        ("й ё Ёлка", ["елка"]),  # single letters are no words
        ("a bc b.c", ["bc", "b.c"]),
        ("anna.mueller@example.org", ["anna.mueller@example.org", "anna", "mueller", "example", "org"]),
        ("credit-risk credit_risk", ["credit-risk", "credit", "risk", "credit_risk"]),
        ("192.0.2.1", ["192.0.2.1", "192"]),
        ("(2001:0DB8:0:0::1),", ["2001:db8::1", "2001", "db8"]),
        ("::1", ["::1"]),
        ("x" * 40 + " " + "y" * 41, ["x" * 40]),
        ("twice Twice TWICE", ["twice"]),
        ("\x00 \ud800 … – !", []),
        ("", []),
    ],
)
def test_a_text_has_these_words(text: str, found: list[str]) -> None:
    assert words.words(text) == found


def test_at_most_two_hundred_words_are_kept() -> None:
    assert words.words(" ".join(f"word{number}" for number in range(500))) == [f"word{n}" for n in range(200)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Anna  MÜLLER anna", ["anna", "muller"]),
        ("credit-risk", ["credit-risk"]),  # what is written together is looked for together
        ("192.0.2.1", ["192.0.2.1"]),
        ("2001:DB8:0::0001", ["2001:db8::1"]),
        ("a-" + "b" * 39, ["b" * 39]),  # too long as a whole: its parts
        ('"drift"*', ["drift"]),
    ],
)
def test_a_question_asks_for_these_words(text: str, found: list[str]) -> None:
    assert words.asked(text) == found


@pytest.mark.parametrize("text", ["?", "a", "", "é", "=+-@", " ".join(f"word{number}" for number in range(13))])
def test_a_question_without_a_word_or_with_too_many_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"Search for (whole words of 2 to 40|at most 12 words)"):
        words.asked(text)


def test_whatever_is_indexed_can_be_asked_for() -> None:
    text = "Reviewed by Anna-Lena O’Brien (203.0.113.7) on 2026-05-31: drift_score=0.12, see https://example.org/a-b"
    for word in words.words(text):
        assert words.asked(word) == [word]


def test_a_token_is_a_keyed_digest_that_belongs_to_a_log_and_a_month() -> None:
    scope = words.scope("admin", MAY)
    assert scope == "admin 2026-05"
    digest = hmac.new(keys.secret("search"), b"admin 2026-05\x1fword\x1fdrift", hashlib.sha256).digest()
    assert words.token(scope, "word", "drift") == int.from_bytes(digest[:8], "big", signed=True)
    others = {words.token("access 2026-05", "word", "drift"), words.token("admin 2026-06", "word", "drift")}
    others |= {words.token(scope, "action", "drift"), words.token(scope, "word", "drifts")}
    assert len(others | {words.token(scope, "word", "drift")}) == 5
    assert all(-(2**63) <= token < 2**63 for token in others)


def test_what_holds_no_word_is_found_by_nothing() -> None:
    found_by = words.marks(
        log="admin", recorded_at=MAY, action="a.b", outcome="success", actor="p:1", object_type="t", object_id="1"
    )
    assert words.of_event(["?", 7, None], found_by) == []
    assert len(words.of_event(["drift seen"], found_by)) == 2 + 5
