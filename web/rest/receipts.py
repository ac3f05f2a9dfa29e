"""``?wait=published``: the answer to an act carries the receipt of its entry, once that is signed.

A view that offers it (approve, apply, erase, and an override once there is one) calls ``wanted`` before the act and
``added`` after it, names ``WAIT`` among its parameters and mixes ``ReceiptedSerializer`` into its answer.
"""

from typing import Any, Final

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit import receipts
from audit.actors import Actor
from audit.errors import DomainError, Invalid

_PUBLISHED: Final = "published"

WAIT = OpenApiParameter(
    "wait",
    enum=[_PUBLISHED],
    required=False,
    description="`published`: wait up to five seconds until the entry of this act is signed, and answer with its"
    " receipt; `receipt` is null when it takes longer, and `receipt_url` says where to ask later.",
)


class ReceiptSerializer(serializers.Serializer[Any]):
    """An entry of the trail and its proof: enough to show later, to anyone, that the act was recorded."""

    entry_id = serializers.UUIDField()
    log = serializers.CharField()
    index = serializers.IntegerField()
    leaf_hash = serializers.CharField()
    leaf = serializers.CharField()
    proof = serializers.CharField()


class ReceiptedSerializer(serializers.Serializer[Any]):
    """What ``?wait=published`` adds to an answer."""

    receipt = ReceiptSerializer(required=False, allow_null=True)
    receipt_url = serializers.CharField(required=False, allow_null=True)


def wanted(request: Request) -> bool:
    """Whether the caller waits for a receipt; ask before the act. Raises Invalid for any other wish."""
    asked = request.query_params.getlist("wait")
    if asked and asked != [_PUBLISHED]:
        raise Invalid(f"The parameter wait takes one value: {_PUBLISHED}.", code="bad_wait")
    return bool(asked)


def added(response: Response, by: Actor) -> Response:
    """The answer to what ``by`` just did, with its receipt, or where to get that later."""
    entry_id = receipts.last_of(by)
    try:
        receipt = None if entry_id is None else receipts.wait(entry_id, receipts.SECONDS)
    except DomainError:  # the act is done: that its proof cannot be had now must not look as if it were not
        receipt = None
    response.data["receipt"] = None if receipt is None else _presented(receipt)
    if receipt is None:
        response.data["receipt_url"] = None if entry_id is None else reverse("rest:trail-proof", args=[entry_id])
    return response


def _presented(receipt: receipts.Receipt) -> dict[str, Any]:
    proof = receipt.proof
    return {
        "entry_id": str(proof.entry_id),
        "log": proof.log,
        "index": proof.index,
        "leaf_hash": proof.leaf_hash.hex(),
        "leaf": receipt.leaf.decode(),
        "proof": proof.text,
    }
