"""Erasure requests for tests, made and carried through by the actions; data sets of a few rows beside German Credit."""

import io
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.events import Action
from erasure.actions import closing, deciding, discovery, execution, filing
from erasure.models import ErasureRequest
from registry import storage
from registry.actions import data_sets
from registry.models import DataSet, Evidence, ModelVersion
from tests import factories

# Found nowhere by accident, so that a scan for it proves something.
MAIL = "zebedee.quux-7713@example.invalid"
PEOPLE = ["ana@example.invalid", MAIL, "bo@example.invalid", MAIL, "cy@example.invalid", "di@example.invalid"]


def officer(name: str = "") -> Actor:
    return factories.actor(Role.COMPLIANCE_OFFICER, username=name)


def people(by: Actor, name: str = "people", mails: list[str | None] | None = None, **said: Any) -> DataSet:
    """A Parquet data set with one mail address per row."""
    column = PEOPLE if mails is None else mails
    table = pa.table({"mail": column, "age": list(range(len(column)))})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return parquet(by, buffer.getvalue(), name, **{"identifiers": {"mail": "email"}, **said})


def parquet(by: Actor, content: bytes, name: str, **said: Any) -> DataSet:
    given = {"filename": "rows.parquet", "role": "training", **said}
    return data_sets.register(by=by, name=name, content=io.BytesIO(content), **given)


def mails_in(row: DataSet) -> list[str | None]:
    found: list[str | None] = pq.read_table(storage.existing(row.path)).column("mail").to_pylist()
    return found


def file(by: Actor, **said: Any) -> ErasureRequest:
    given: dict[str, Any] = {
        "identifier_type": "email",
        "identifier_value": MAIL,
        "external_id": "case-1",
        "ground": "17(1)(b)",
        "country": "DE",
        "received_on": date(2026, 3, 5),
    }
    return filing.file(by=by, **{**given, **said}).request


def fresh(request: ErasureRequest) -> ErasureRequest:
    return ErasureRequest.objects.get(pk=request.pk)


def planned(by: Actor, **said: Any) -> ErasureRequest:
    """A request with its plan."""
    request = file(by, **said)
    discovery.run(request.pk)
    return fresh(request)


def approved(by: Actor, other: Actor, **said: Any) -> ErasureRequest:
    """A request whose plan another officer approved."""
    request = planned(by, **said)
    return deciding.approve(by=other, request=request, plan_digest=request.plan_digest)


def executed(by: Actor, other: Actor, **said: Any) -> ErasureRequest:
    """A request that waits for its sign-off."""
    request = approved(by, other, **said)
    execution.run(request.pk)
    return fresh(request)


def completed(by: Actor, other: Actor, **said: Any) -> ErasureRequest:
    """A request with its certificate."""
    request = executed(by, other, **said)
    closing.sign_off(by=other, request=request)
    return fresh(request)


def predictions(version: ModelVersion, data_set: DataSet) -> Evidence:
    """Predictions of a version for a data set, with their file of rows."""
    row = Evidence(
        version=version, kind="predictions", status="OK", inputs={"evaluation": data_set.digest}, result={"rows": 6},
        result_digest="0" * 64,
    )  # fmt: skip
    row.path = f"{storage.EVIDENCE}/{row.pk}.arrow"
    storage.new_file(row.path).write_bytes(b"one decision per row")
    with door.open(SYSTEM, Action.EVIDENCE_ATTACH, on=version) as entry:
        row.save(force_insert=True)
        entry.record(on=row)
    return row
