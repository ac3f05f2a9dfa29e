"""The files of a log. Everything here is covered by its newest signed checkpoint; reads of entries are recorded."""

import base64
import json
from datetime import timedelta
from typing import Final

from django.http import HttpRequest, HttpResponse

from access import reads
from audit import leaves, published, tiles
from audit.errors import Invalid, NotFound
from audit.events import Action
from audit.subjects import Subject
from audit.tiles import TilePath
from web.log.guard import BYTES, FRESH, IMMUTABLE, TEXT, actor_of, file, of_log

# A monitor that follows the log reads its own reads with every round: once an hour is enough to know of it.
_RECORDED_EVERY: Final = timedelta(hours=1)


@of_log("size")
def checkpoint(request: HttpRequest, name: str) -> HttpResponse:
    """The newest signed checkpoint with its cosignatures, or the one of ``size``."""
    return file(request, _signed(request, name).note.encode(), TEXT, cache=FRESH)


@of_log()
def minimum_index(request: HttpRequest, name: str) -> HttpResponse:
    """From which index on the log still holds its entries."""
    return file(request, f"{leaves.minimum_index(name)}\n".encode(), TEXT, cache=FRESH)


@of_log()
def tile(request: HttpRequest, name: str, path: str) -> HttpResponse:
    """A tile of hashes, or a bundle of entries."""
    wanted = TilePath.parse(path)
    size = published.newest(name).size
    if wanted.level is not None:
        content = tiles.tile(name, wanted.level, wanted.index, wanted.width, size)
        return file(request, content, BYTES, cache=IMMUTABLE)
    content = tiles.bundle(name, wanted.index, wanted.width, size)
    _saw(request, name)
    return file(request, content, BYTES, cache=IMMUTABLE, packed=True)


@of_log()
def entry(request: HttpRequest, name: str, index: str) -> HttpResponse:
    """The bytes of one leaf."""
    wanted, size = published.number(index, "An index"), published.newest(name).size
    if wanted >= size:
        raise NotFound(f"The signed log ends before entry {wanted:,}: it has {size:,} entries.")
    content = leaves.bodies(name, wanted, wanted + 1)[0]
    _saw(request, name)
    return file(request, content, "application/json", cache=IMMUTABLE)


@of_log("size")
def proof(request: HttpRequest, name: str, index: str) -> HttpResponse:
    """The ``.tlog-proof`` of one entry, under the newest checkpoint or under the one of ``size``."""
    wanted = published.number(index, "An index")
    text = published.proof_file(_signed(request, name), wanted)
    return file(request, text.encode(), TEXT, cache=FRESH, name=f"{name}-{wanted}.tlog-proof")


@of_log("from", "to")
def consistency(request: HttpRequest, name: str) -> HttpResponse:
    """That the log of one size is the beginning of the log of another: JSON, or text for who asks for ``text/plain``.

    The text is what a C2SP witness takes: ``old <size>``, the hashes in base64 and, where ``to`` is a signed size, an
    empty line and its checkpoint.
    """
    missing = [each for each in ("from", "to") if each not in request.GET]
    if missing:
        raise Invalid(f"Say which sizes to compare: {missing[0]} is missing.", code="missing_parameter")
    old, new = published.number(request.GET["from"], "A size"), published.number(request.GET["to"], "A size")
    hashes = published.consistency(name, old, new)
    if request.get_preferred_type(["application/json", "text/plain"]) == "text/plain":
        response = file(request, _as_text(name, old, new, hashes).encode(), TEXT, cache=FRESH)
    else:
        said = {"from": old, "to": new, "hashes": [each.hex() for each in hashes]}
        response = file(request, json.dumps(said).encode() + b"\n", "application/json", cache=FRESH)
    response["Vary"] = "Accept"
    return response


def _as_text(name: str, old: int, new: int, hashes: list[bytes]) -> str:
    lines = [f"old {old}", *(base64.b64encode(each).decode("ascii") for each in hashes)]
    try:
        lines += ["", published.at(name, new).note]
    except NotFound:
        lines.append("")
    return "\n".join(lines)


def _signed(request: HttpRequest, name: str) -> published.Signed:
    if "size" not in request.GET:
        return published.newest(name)
    return published.at(name, published.number(request.GET["size"], "A size"))


def _saw(request: HttpRequest, name: str) -> None:
    """Record that the caller read entries of this log."""
    subject = Subject(type="trail", id=name, label="the trail")
    reads.seen(actor_of(request), Action.TRAIL_VIEW, subject, told={"as": "files"}, once_per=_RECORDED_EVERY)
