"""TLS to a pinned address: the certificate must be for the host's name, by an authority that is trusted."""

import datetime as dt
import ssl
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from registry import posting
from tests.registry.receiver import Receiver, receiving

NAME = "hooks.example.org"
PEM = serialization.Encoding.PEM


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, root: bool) -> bytes:
    today = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named("Test authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(by, hashes.SHA256())
    )
    return made.public_bytes(PEM)


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings) -> Iterator[Receiver]:  # type: ignore[no-untyped-def]
    """A receiver with a certificate for ``NAME``, by an authority of our own that is trusted."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (tmp_path / "authority.pem").write_bytes(_certificate("Test authority", authority, authority, root=True))
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "server.pem").write_bytes(_certificate(NAME, key, authority, root=False) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    settings.PLIMSOLL_WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    posting._trust.cache_clear()
    with receiving(context) as found:
        yield found
    posting._trust.cache_clear()


def post(receiver: Receiver, host: str) -> posting.Answer:
    return posting.post(receiver.url(host=host), b"{}", {}, seconds=5, resolver=lambda host, port: ["127.0.0.1"])


def test_the_certificate_of_the_host_is_accepted_at_the_pinned_address(receiver: Receiver) -> None:
    assert post(receiver, NAME).status == 200
    assert receiver.got[0].headers["host"] == f"{NAME}:{receiver.port}"


@pytest.mark.parametrize("host", ["other.example.org", "127.0.0.1"])
def test_a_certificate_for_another_name_is_not(receiver: Receiver, host: str) -> None:
    answer = post(receiver, host)
    assert answer.status is None
    assert answer.error.startswith(f"The certificate of {host} is not accepted: ")
    assert receiver.got == []


def test_nor_one_by_an_authority_nobody_trusts(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    posting._trust.cache_clear()
    answer = post(receiver, NAME)
    assert (answer.status, receiver.got) == (None, [])
    assert "is not accepted: " in answer.error
