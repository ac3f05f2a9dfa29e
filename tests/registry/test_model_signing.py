"""Signatures in the model-signing format, verified by the tool that defines it over the files as they are."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from audit.errors import Conflict, Invalid
from registry import manifest, model_signing
from registry.models import ModelVersion
from tests import evidence_cases as cases

pytestmark = pytest.mark.django_db
# Names whose order as text is not the order of their parts, and one outside ASCII.
FILES = {"a/b": b"1", "a-b": b"22", "a.txt": b"", "Ünï.bin": b"\x00" * 70_000, ".gitignore": b"*\n", "z": b"z"}


@pytest.fixture(autouse=True)
def _own_store(settings: Any, tmp_path: Path) -> None:
    settings.PLIMSOLL_DATA = tmp_path / "store"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        place = tmp_path / "model" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return tmp_path / "model"


@pytest.fixture
def version(folder: Path) -> ModelVersion:
    return cases.pin(cases.version(cases.scientist()), folder)


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "model_signing", *arguments], capture_output=True, text=True, check=False
    )


def verify(folder: Path, bundle: dict[str, Any], pem: bytes, *more: str) -> subprocess.CompletedProcess[str]:
    signature, key = folder.parent / "model.sig", folder.parent / "key.pem"
    signature.write_text(json.dumps(bundle))
    key.write_bytes(pem)
    return tool("verify", "key", str(folder), "--signature", str(signature), "--public_key", str(key),
                "--no-ignore-git-paths", *more)  # fmt: skip


def test_the_tool_accepts_the_files_and_refuses_others(version: ModelVersion, folder: Path) -> None:
    bundle, pem = model_signing.bundle(version), model_signing.public_pem()
    done = verify(folder, bundle, pem)
    assert (done.returncode, "Verification succeeded" in done.stdout) == (0, True), done.stderr
    (folder / "a-b").write_bytes(b"23")
    assert refused(verify(folder, bundle, pem))
    (folder / "a-b").write_bytes(b"22")
    (folder / "more.py").write_bytes(b"")
    assert refused(verify(folder, bundle, pem))


def refused(done: subprocess.CompletedProcess[str]) -> bool:
    """The tool came to a verdict; a wrong option would end it with another code."""
    return done.returncode == 1 and "Verification failed" in done.stderr


def test_the_tool_refuses_another_key_and_a_changed_statement(version: ModelVersion, folder: Path) -> None:
    bundle = model_signing.bundle(version)
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert refused(verify(folder, bundle, model_signing.public_pem(stranger)))
    body = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"credit/1", b"credit/2")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(body).decode()
    assert refused(verify(folder, bundle, model_signing.public_pem()))


def test_the_same_files_give_the_same_bundle(version: ModelVersion) -> None:
    assert model_signing.bundle(version) == model_signing.bundle(version)


def test_the_root_digest_is_the_one_the_tool_computes(version: ModelVersion, folder: Path) -> None:
    bundle, _ = signed_by_the_tool(folder)
    theirs = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))["subject"][0]["digest"]
    ours = json.loads(base64.b64decode(model_signing.bundle(version)["dsseEnvelope"]["payload"]))["subject"][0]
    assert ours == {"name": "credit/1", "digest": theirs}


def signed_by_the_tool(folder: Path, curve: Any = ec.SECP384R1) -> tuple[dict[str, Any], str]:
    key = ec.generate_private_key(curve())
    private = folder.parent / "private.pem"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    made = folder.parent / "theirs.sig"
    done = tool("sign", "key", str(folder), "--signature", str(made), "--private_key", str(private),
                "--no-ignore-git-paths")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(made.read_text()), model_signing.public_pem(key.public_key()).decode()


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_what_the_tool_signed_is_understood(version: ModelVersion, folder: Path, curve: Any) -> None:
    bundle, pem = signed_by_the_tool(folder, curve)
    files = version.artifact_manifest
    assert model_signing.why_not_valid(bundle, files, pem) is None
    other = manifest.of([manifest.File("a/b", 1, "0" * 64)])
    assert model_signing.why_not_valid(bundle, other, pem) == (
        "The signature is for other files: 6 differ (.gitignore, a-b, a.txt, …)."
    )
    assert model_signing.why_not_valid(bundle, files, model_signing.public_pem().decode()) == (
        "The signature is not of this key, or what it signs was changed."
    )


def test_rubbish_is_a_sentence(version: ModelVersion) -> None:
    pem, files = model_signing.public_pem().decode(), version.artifact_manifest
    good = model_signing.bundle(version)
    assert model_signing.why_not_valid(good, files, pem) is None
    unreadable = "The bundle cannot be read as one of the model-signing format."
    for bad in ({}, {"dsseEnvelope": []}, {**good, "dsseEnvelope": {}}, {**good, "dsseEnvelope": {"payload": "€"}}):
        assert model_signing.why_not_valid(bad, files, pem) == unreadable
    assert model_signing.why_not_valid({**good, "mediaType": "x"}, files, pem) == (
        "This is no bundle of the model-signing format."
    )
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    for key in ("", "not a key", other.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()):  # fmt: skip
        with pytest.raises(Invalid, match="is no PEM of an elliptic-curve key"):
            model_signing.why_not_valid(good, files, key)


def test_what_is_not_pinned_is_not_signed() -> None:
    with pytest.raises(Conflict, match="have not been read and hashed yet"):
        model_signing.bundle(cases.version(cases.scientist()))
