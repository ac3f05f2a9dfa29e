"""How models and versions look on MLflow's wire: ``snake_case``, times in milliseconds, empty lists absent."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from registry.queries.wire import ModelRecord, VersionRecord

# What JSON can hold.
Json = dict[str, Any]


def model(record: ModelRecord) -> Json:
    """A RegisteredModel."""
    row = record.row
    body = {
        "name": row.name,
        "creation_timestamp": _milliseconds(row.created_at),
        "last_updated_timestamp": _milliseconds(row.updated_at),
        "user_id": record.user,
        "latest_versions": [version(entry) for entry in record.latest],
        "tags": _tags(record.tags),
        "aliases": [{"alias": name, "version": str(number)} for name, number in record.aliases],
    }
    return _present(body | {"description": row.description or ""})


def version(record: VersionRecord) -> Json:
    """A ModelVersion."""
    row = record.row
    body = {
        "name": record.model_name,
        "version": str(row.number),
        "creation_timestamp": _milliseconds(row.created_at),
        "last_updated_timestamp": _milliseconds(row.updated_at),
        "user_id": record.user,
        "current_stage": row.stage,
        "status": row.status,
        "status_message": row.status_message,
        "tags": _tags(record.tags),
        "aliases": record.aliases,
    }
    always = {"source": row.source, "run_id": row.run_id, "run_link": row.run_link}
    return _present(body) | always | _described(row.description)


def _tags(pairs: list[tuple[str, str]]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in pairs]


def _present(body: Mapping[str, Any]) -> Json:
    return {name: value for name, value in body.items() if value not in ("", [])}


def _described(description: str | None) -> Json:
    return {} if description is None else {"description": description}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
