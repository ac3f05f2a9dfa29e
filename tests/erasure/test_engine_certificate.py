"""The certificate: what it says, what it refuses to say, and that any change is noticed."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jcs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from erasure.engine.certificate import (
    Backup,
    Certificate,
    ErasedAsset,
    IdentifierCount,
    LogHead,
    ModelObligation,
    Moment,
    Uncovered,
    body,
    check_names_nobody,
    erased_asset,
)
from erasure.engine.errors import EngineError
from erasure.engine.identifiers import IdentifierType
from erasure.engine.rewrite import rewrite_without
from erasure.engine.signature import canonical_bytes, sign, verify
from erasure.engine.verify import verify_absent

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOON = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)

ASSET = ErasedAsset(
    asset="german/train.parquet",
    data_set_before="a" * 64,
    data_set_after="b" * 64,
    file_before="c" * 64,
    file_after="d" * 64,
    rows_in=1000,
    erased=2,
    rows_out=998,
    kept_digest="e" * 64,
    erased_with="pyarrow 25.0.1",
    verified_with="duckdb 2.0.0",
    residual=0,
    residue_checks=({"name": "dictionaries", "searched": 998, "hits": 0, "note": ""},),
)
CERTIFICATE = Certificate(
    request="0d9c5a1e-6c5b-4c5e-9d5e-1f0a3c6d7e8f",
    regulation="gdpr",
    ground="17(1)(b)",
    outcome="erased",
    plan_digest="f" * 64,
    received_on=date(2026, 3, 5),
    nominal_due=date(2026, 4, 5),
    legal_due=date(2026, 4, 7),
    issued_at=NOON,
    identifiers=IdentifierCount(2, ("row_id",), 1, 1),
    timeline=(Moment("filed", NOON, "officer-1"), Moment("approved", NOON, "officer-2")),
    approvers=("officer-2",),
    log_before=LogHead(10, "1" * 64),
    log_after=LogHead(14, "2" * 64),
    assets=(ASSET,),
    uncovered=(Uncovered("warehouse.customers", "no subject map"),),
    models=(ModelObligation("credit", "1", "3" * 64, "retrain", date(2026, 6, 3)),),
    backups=(Backup("nightly", NOON, date(2026, 4, 6), "erasure_replay"),),
)


def test_the_body_says_what_was_done() -> None:
    said = body(CERTIFICATE)
    assert said["format"] == "plimsoll-erasure-certificate/1"
    assert said["identifiers"] == {"count": 2, "types": ["row_id"], "key_version": 1, "normaliser_version": 1}
    assert said["timeline"][0] == {"step": "filed", "at": "2026-03-06T12:00:00.000000Z", "by": "officer-1"}
    assert said["legal_due"] == "2026-04-07"
    assert said["uncovered"] == [{"asset": "warehouse.customers", "reason": "no subject map"}]
    assert said["assets"][0]["kept_digest"] == "e" * 64
    assert said["log_after"] == {"size": 14, "root": "2" * 64}


def test_an_asset_takes_its_figures_from_the_work_itself(tmp_path: Path) -> None:
    source, target = tmp_path / "f", tmp_path / "g"
    source.write_bytes(b"id,v\n17,a\n18,b\n")
    rewritten = rewrite_without(source, target, "id", ["17"], IdentifierType.ROW_ID)
    verified = verify_absent(target, "id", ["17"], IdentifierType.ROW_ID)
    asset = erased_asset(
        asset="f", data_set_before="a" * 64, data_set_after="b" * 64, rewritten=rewritten, verified=verified
    )
    said = body(replace(CERTIFICATE, assets=(asset,)))["assets"][0]
    assert (said["rows_in"], said["erased"], said["rows_out"], said["residual"]) == (2, 1, 1, 0)
    assert said["file_after"] == hashlib.sha256(b"id,v\n18,b\n").hexdigest()
    assert said["verified_with"].startswith("duckdb ")
    assert [check["hits"] for check in said["residue_checks"]] == [0] * len(said["residue_checks"])
    unclean = verify_absent(source, "id", ["17"], IdentifierType.ROW_ID)
    wrong = erased_asset(
        asset="f", data_set_before="a" * 64, data_set_after="b" * 64, rewritten=rewritten, verified=unclean
    )
    with pytest.raises(EngineError):
        body(replace(CERTIFICATE, assets=(wrong,)))


def test_the_bytes_are_canonical_by_a_second_implementation() -> None:
    said = body(CERTIFICATE)
    assert canonical_bytes(said) == jcs.canonicalize(said)


def test_a_signed_certificate_verifies_with_and_without_the_key() -> None:
    file = sign(body(CERTIFICATE), KEY, "erasure-1")
    assert verify(file, KEY.public_key()) == body(CERTIFICATE)
    assert verify(file) == body(CERTIFICATE)


def test_the_signature_is_a_plain_detached_jws() -> None:
    document = json.loads(sign(body(CERTIFICATE), KEY, "erasure-1"))
    protected, middle, signature = document["jws"].split(".")
    assert middle == ""
    assert json.loads(base64.urlsafe_b64decode(protected + "==")) == {"alg": "EdDSA", "kid": "erasure-1"}
    payload = base64.urlsafe_b64encode(jcs.canonicalize(document["certificate"])).rstrip(b"=")
    raw = base64.urlsafe_b64decode(signature + "==")
    KEY.public_key().verify(raw, protected.encode() + b"." + payload)


def test_every_flipped_byte_is_noticed() -> None:
    file = sign(body(CERTIFICATE), KEY, "erasure-1")
    for position in range(len(file)):
        changed = file[:position] + bytes([file[position] ^ 1]) + file[position + 1 :]
        with pytest.raises(EngineError):
            verify(changed, KEY.public_key())


def test_a_signature_has_one_spelling_only() -> None:
    document = json.loads(sign(body(CERTIFICATE), KEY, "erasure-1"))
    # The last of 86 characters carries two bits; its successor in the alphabet differs in the spare ones only.
    successor = {"A": "B", "Q": "R", "g": "h", "w": "x"}[document["jws"][-1]]
    with pytest.raises(EngineError):
        verify(_swap(document, jws=document["jws"][:-1] + successor), KEY.public_key())


def test_a_certificate_of_another_key_is_refused() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(EngineError, match="another key"):
        verify(sign(body(CERTIFICATE), other, "erasure-1"), KEY.public_key())


def _swap(document: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**document, **changes}).encode()


def test_malformed_files_are_refused_with_a_sentence() -> None:
    file = sign(body(CERTIFICATE), KEY, "erasure-1")
    document = json.loads(file)
    protected, _, signature = document["jws"].split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"erasure-1"}').rstrip(b"=").decode()
    for wrong in (
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        file[:-2],
        file.replace(b'{"certificate":', b'{"jws":"","certificate":', 1),
        file.replace(b'"rows_in":1000', b'"rows_in":NaN', 1),
        file.replace(b'"rows_in":1000', b'"rows_in":1000.0', 1),
        _swap(document, jws=f"{none}..{signature}"),
        _swap(document, jws=f"{protected}.e30.{signature}"),
        _swap(document, jws=f"{protected}.."),
        _swap(document, public_key={}),
        _swap(document, extra=1),
    ):
        with pytest.raises(EngineError, match=r"\w\.$"):
            verify(wrong, KEY.public_key())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"assets": (replace(ASSET, rows_out=997),)}, "rows_do_not_add_up"),
        ({"assets": (replace(ASSET, residual=1),)}, "residue_left"),
        ({"assets": (replace(ASSET, residue_checks=({"name": "footer", "hits": 1},)),)}, "residue_left"),
        ({"approvers": ()}, "approver_missing"),
        ({"outcome": "perhaps"}, "outcome_unknown"),
        ({"log_after": LogHead(9, "2" * 64)}, "log_shrank"),
        ({"issued_at": NOON.replace(tzinfo=None)}, "time_naive"),
        ({"ground": 17.1}, "certificate_value"),
    ],
)
def test_what_did_not_happen_is_not_certified(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(EngineError) as caught:
        body(replace(CERTIFICATE, **changes))
    assert caught.value.code == code


def test_a_certificate_that_names_the_person_is_not_signed() -> None:
    said = body(replace(CERTIFICATE, notes=("erased for Anna@example.org",)))
    with pytest.raises(EngineError) as caught:
        check_names_nobody(said, ["anna@example.org"], IdentifierType.EMAIL)
    assert caught.value.code == "certificate_names_person"
    assert "anna" not in str(caught.value).lower()
    check_names_nobody(said, ["bob@example.org"], IdentifierType.EMAIL)
    check_names_nobody(said, ["17"], IdentifierType.ROW_ID)


def test_floats_cannot_be_signed() -> None:
    with pytest.raises(EngineError, match="floating"):
        sign({"a": [{"b": 0.5}]}, KEY, "erasure-1")
