"""``manage.py verify_certificate FILE``: check an erasure certificate, without a database and without the service."""

import base64
import binascii
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import keys
from erasure.actions import closing
from erasure.engine import signature
from erasure.engine.errors import EngineError


class Command(BaseCommand):
    """Say whether the signature holds, by whose key, and what is certified."""

    help = "Verify an erasure certificate: FILE as it was downloaded."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own type

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument(
            "--public-key",
            metavar="KEY",
            default="",
            help="the Ed25519 key (32 bytes, base64url) you were given; without it this installation's key is used, and"
            " where there is none the key in the file, which only shows that the file is whole",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            content = options["file"].read_bytes()
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}.") from None
        key, whose = _key(options["public_key"])
        try:
            body = signature.verify(content, key)
        except EngineError as error:
            raise CommandError(f"NOT VERIFIED. {error}") from None
        self.stdout.write(f"VERIFIED with {whose}.")
        self.stdout.write(f"request {body['request']}: {body['outcome']}, issued {body['issued_at']}")
        for asset in body["assets"]:
            self.stdout.write(
                f"{asset['asset']}: {asset['rows_in']} rows, {asset['erased']} erased, {asset['rows_out']} kept,"
                f" sha256 {asset['data_set_after']}"
            )
        for model in body["models"]:
            self.stdout.write(f"{model['model']} {model['version']}: {model['obligation']} by {model['due_on']}")
        for gap in body["uncovered"]:
            self.stdout.write(f"not covered: {gap['asset']}. {gap['reason']}")


def _key(text: str) -> tuple[Ed25519PublicKey | None, str]:
    if text:
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return Ed25519PublicKey.from_public_bytes(raw), "the given key"
        except (binascii.Error, ValueError):
            raise CommandError("The public key is 32 bytes in base64url.") from None
    if (keys.folder() / "certificates.key").exists():
        return closing.public_key(), "this installation's key"
    return None, "the key in the file alone; compare it with one you were given"
