"""A small C2SP witness (tlog-witness, cosignature/v1): a program of its own, which shares no code with what it watches.

    python witness_program.py config.json state.json      prints the port it listens on

``config.json`` is {"name": …, "seed": hex, "logs": {origin: [verifier key, …]}}; it is read anew for each request.
"""

import base64
import hashlib
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

EMPTY = hashlib.sha256().digest()
one_at_a_time = Lock()


class Refusal(Exception):
    def __init__(self, status: int, body: str = "", kind: str = "text/plain") -> None:
        super().__init__(status)
        self.status, self.body, self.kind = status, body, kind


def key_id(name: str, kind_and_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + kind_and_key).digest()[:4]


def inner(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def grew(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """RFC 6962 §2.1.2, the way it is defined: rebuild both roots by recursion, taking the proof from its end."""
    rest = list(proof)

    def rebuild(m: int, n: int, whole: bool) -> tuple[bytes, bytes]:
        if m == n:
            node = old_root if whole else rest.pop()
            return node, node
        k = 1 << ((n - 1).bit_length() - 1)
        if m <= k:
            right = rest.pop()
            before, now = rebuild(m, k, whole)
            return before, inner(now, right)
        left = rest.pop()
        before, now = rebuild(m - k, n - k, False)
        return inner(left, before), inner(left, now)

    try:
        return rebuild(old, new, True) == (old_root, new_root) and not rest
    except IndexError:
        return False


def is_signed(text: str, lines: list[str], origin: str, verifier_keys: list[str]) -> bool:
    for verifier_key in verifier_keys:
        name, _, encoded = verifier_key.split("+", 2)
        public = base64.b64decode(encoded)
        for line in lines:
            _, signer, blob = line.split(" ")
            signature = base64.b64decode(blob)
            if signer == name == origin and signature[:4] == key_id(name, public):
                try:
                    Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], text.encode())
                except InvalidSignature:
                    continue
                return True
    return False


def add_checkpoint(body: str, config: dict, state_file: Path) -> str:
    request, _, note = body.partition("\n\n")
    first, *proof_lines = request.split("\n")
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    try:
        old = int(first.removeprefix("old "))
        proof = [base64.b64decode(line, validate=True) for line in proof_lines]
        origin, size_line, root_line = text.splitlines()
        size, root = int(size_line), base64.b64decode(root_line)
    except ValueError:
        raise Refusal(400, "malformed") from None
    if origin not in config["logs"]:
        raise Refusal(404, "unknown log")
    if not is_signed(text, signatures.splitlines(), origin, config["logs"][origin]):
        raise Refusal(403, "not signed by a known key")
    if old > size or len(proof) > 63:
        raise Refusal(400, "old size beyond the checkpoint")
    with one_at_a_time:
        state = json.loads(state_file.read_text()) if state_file.exists() else {}
        held, held_root = state.get(origin, [0, EMPTY.hex()])
        if old != held:
            raise Refusal(409, f"{held}\n", "text/x.tlog.size")
        if old == 0:
            fits = not proof and (size > 0 or root == EMPTY)
        else:
            fits = grew(old, size, bytes.fromhex(held_root), root, proof)
        if not fits:
            raise Refusal(422, "inconsistent")
        state[origin] = [size, root.hex()]
        state_file.write_text(json.dumps(state))
    return cosigned(text, config)


def cosigned(text: str, config: dict) -> str:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(config["seed"]))
    now = int(time.time())
    signature = key.sign(f"cosignature/v1\ntime {now}\n{text}".encode())
    identity = key_id(config["name"], b"\x04" + key.public_key().public_bytes_raw())
    blob = base64.b64encode(identity + now.to_bytes(8, "big") + signature).decode()
    return f"— {config['name']} {blob}\n"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status, kind = 200, "text/plain"
        try:
            if self.path != "/add-checkpoint":
                raise Refusal(404)
            answer = add_checkpoint(body, json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
        except Refusal as refusal:
            status, answer, kind = refusal.status, refusal.body, refusal.kind
        content = answer.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)  # noqa: T201
    server.serve_forever()
