"""Signed notes and checkpoints in the C2SP formats (c2sp.org/signed-note, /tlog-checkpoint, /tlog-cosignature).

Text in, text out. When to sign, where a key may lie and who the witnesses are is decided elsewhere.
"""

import base64
import binascii
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 0x01
COSIGNATURE = 0x04  # a witness's Ed25519 signature over a time and the checkpoint text

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100
_KEY_BYTES = 32
_ROOT_BYTES = 32
_PRIVATE_PREFIX = "PRIVATE+KEY+"
_KEY_ID = re.compile(r"[0-9a-f]{8}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteError(ValueError):
    """A note, checkpoint or key that is refused; the message says why."""


class MalformedNoteError(NoteError):
    """Not a signed note at all."""


class InvalidSignatureError(NoteError):
    """A line in the name of a known key does not verify."""


class UnverifiedNoteError(NoteError):
    """Well formed, but no known key signed it."""


# -- checkpoints -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    """The state of a log: its name, how many entries it has, and the 32-byte root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The three lines of a checkpoint. Extension lines are refused: our logs never write any."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise NoteError("A checkpoint has exactly three lines: origin, size and root.")
    origin, size, root = lines[:3]
    if not _SIZE.fullmatch(size):
        raise NoteError("The size of a checkpoint is a decimal number without sign or leading zeros.")
    decoded = _unb64(root)
    if len(decoded) != _ROOT_BYTES:
        raise NoteError("The root of a checkpoint is 32 bytes in base64.")
    return Checkpoint(origin, int(size), decoded)


# -- keys ------------------------------------------------------------------------------------------------------------


def _key_id(name: str, encoded_key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + encoded_key).digest()[:4]


def _check_name(name: str) -> None:
    # Every C0 control, DEL and Unicode space would let one name look like another or break a line in two.
    if not name or "+" in name or any(character.isspace() or not character.isprintable() for character in name):
        raise NoteError(f"{name!r} cannot name a key: it must not be empty or hold spaces, controls or “+”.")


def _parse_key(text: str) -> tuple[str, bytes]:
    """(name, type byte and key) of `name+hex(key id)+base64(type ‖ key)`."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")  # base64 may itself contain “+”
    _check_name(name)
    if not _KEY_ID.fullmatch(key_id):
        raise NoteError("A key id is eight lower-case hexadecimal digits.")
    return name, _unb64(encoded)


@dataclass(frozen=True)
class Verifier:
    """A public key that may have signed a note: of a log (type 0x01) or of a witness (type 0x04)."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Self:
        name, encoded = _parse_key(vkey)
        if len(encoded) != 1 + _KEY_BYTES or encoded[0] not in (ED25519, COSIGNATURE):
            raise NoteError(f"The verifier key of {name} is of a type or length not known here.")
        verifier = cls(name, encoded[0], encoded[1:])
        if verifier.vkey != vkey:
            raise NoteError(f"The verifier key of {name} does not have the key id it states.")
        return verifier

    @property
    def key_id(self) -> bytes:
        return _key_id(self.name, bytes([self.kind]) + self.public)

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_b64(bytes([self.kind]) + self.public)}"

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether `signature` (without the key id) is this key's over `text`."""
        message = text.encode()
        if self.kind == COSIGNATURE:
            seconds, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = f"cosignature/v1\ntime {seconds}\n".encode() + message
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """An Ed25519 key that signs notes in a log's name. Its text form is Go's: `PRIVATE+KEY+name+key id+base64`."""

    def __init__(self, name: str, seed: bytes) -> None:
        _check_name(name)
        self.name = name
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._public_half = Verifier(name, ED25519, self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> Self:
        return cls(name, os.urandom(_KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        if not text.startswith(_PRIVATE_PREFIX):
            raise NoteError("A signing key begins with “PRIVATE+KEY+”.")
        name, encoded = _parse_key(text.removeprefix(_PRIVATE_PREFIX))
        if len(encoded) != 1 + _KEY_BYTES or encoded[0] != ED25519:
            raise NoteError(f"The signing key of {name} is not an Ed25519 key.")
        key = cls(name, encoded[1:])
        if key._text() != text:
            raise NoteError(f"The signing key of {name} does not have the key id it states.")
        return key

    @classmethod
    def load(cls, path: Path | str) -> Self:
        return cls.parse(Path(path).read_text(encoding="utf-8").strip())

    def save(self, path: Path | str) -> None:
        """Write the key to a new file that only its owner can read. An existing file is never overwritten."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self._text() + "\n")

    @property
    def verifier(self) -> str:
        return self._public_half.vkey

    @property
    def key_id(self) -> bytes:
        return self._public_half.key_id

    def sign(self, text: str) -> str:
        """The signed note over `text`. Ed25519 is deterministic: the same text always gives the same note."""
        return sign_all(text, [self])

    def line(self, text: str) -> str:
        """This key's signature line under `text`, without the newline."""
        _check_text(text)
        signature = self._private.sign(text.encode())
        return f"— {self.name} {_b64(self._public_half.key_id + signature)}"

    def _text(self) -> str:
        encoded = _b64(bytes([ED25519]) + self._seed)
        return f"{_PRIVATE_PREFIX}{self.name}+{self._public_half.key_id.hex()}+{encoded}"


# -- notes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SignatureLine:
    name: str
    key_id: bytes
    signature: bytes


def parse_note(note: str | bytes) -> tuple[str, list[SignatureLine]]:
    """The text and the signature lines of a note, none of them verified. Raises MalformedNoteError."""
    whole = _decoded(note)
    boundary = whole.rfind("\n\n")
    if boundary < 0:
        raise MalformedNoteError("A signed note has a blank line between text and signatures.")
    text, signatures = whole[: boundary + 1], whole[boundary + 2 :]
    if not signatures.endswith("\n"):
        raise MalformedNoteError("A signed note ends with a signature line and a newline.")
    lines = signatures.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedNoteError(f"A signed note has at most {MAX_SIGNATURES} signatures.")
    return text, [_signature_line(line) for line in lines]


def sign_all(text: str, keys: Iterable[SigningKey]) -> str:
    """One note over `text` with a line of each key, in order: while keys overlap, verifiers may know either."""
    lines = [key.line(text) for key in keys]
    if not lines:
        raise NoteError("A note needs at least one signature.")
    return "\n".join([text, *lines, ""])


def cosignatures(text: str, lines: str, verifiers: Iterable[Verifier]) -> list[str]:
    """Those of the signature `lines` that a known key really made over `text`; lines of others are left out.

    Raises MalformedNoteError when they are no signature lines at all.
    """
    known = {(each.name, each.key_id): each for each in verifiers}
    _, parsed = parse_note(f"{text}\n{lines}")
    return [
        f"— {line.name} {_b64(line.key_id + line.signature)}"
        for line in parsed
        if (line.name, line.key_id) in known and known[line.name, line.key_id].verifies(text, line.signature)
    ]


def open_note(note: str | bytes, verifiers: Iterable[Verifier]) -> tuple[str, list[str]]:
    """The text of a note and the names of the known keys that signed it, in order.

    Lines by unknown keys are ignored, and of several lines by one key only the first counts. One bad signature in the
    name of a known key refuses the whole note.
    """
    known = {(each.name, each.key_id): each for each in verifiers}
    text, lines = parse_note(note)
    verified: dict[tuple[str, bytes], str] = {}
    for line in lines:
        verifier = known.get((line.name, line.key_id))
        if verifier is None or (line.name, line.key_id) in verified:
            continue
        if not verifier.verifies(text, line.signature):
            raise InvalidSignatureError(f"The signature of {line.name} does not match the text.")
        verified[line.name, line.key_id] = line.name
    if not verified:
        raise UnverifiedNoteError("No known key has signed this note.")
    return text, list(verified.values())


def _decoded(note: str | bytes) -> str:
    try:
        whole = note.decode() if isinstance(note, bytes) else note
        size = len(whole.encode())
    except UnicodeError as error:
        raise MalformedNoteError("A signed note is UTF-8 text.") from error
    if size > MAX_NOTE_BYTES:
        raise MalformedNoteError(f"A signed note has at most {MAX_NOTE_BYTES} bytes.")
    if any(character < " " and character != "\n" for character in whole):
        raise MalformedNoteError("A signed note holds no control characters but newlines.")
    return whole


def _signature_line(line: str) -> SignatureLine:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        if dash != "—":
            raise NoteError("no dash")
        _check_name(name)
        blob = _unb64(encoded)
    except NoteError as error:
        raise MalformedNoteError(f"{line!r} is not a signature line.") from error
    if len(blob) < 5:
        raise MalformedNoteError(f"The signature of {name} is too short to hold a key id and a signature.")
    return SignatureLine(name, blob[:4], blob[4:])


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise MalformedNoteError("The text of a note ends with a newline.")
    _decoded(text)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _unb64(text: str) -> bytes:
    """Strict base64: one spelling per value, so a changed character is never silently the same."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("Not valid base64.") from error
    if _b64(raw) != text:
        raise NoteError("Not canonical base64.")
    return raw
