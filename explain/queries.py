"""Reads for explanations: which columns a model may see, which groups are told apart, and the report in force."""

from collections.abc import Mapping
from typing import Any

from registry.models import DataSet, ModelVersion
from registry.queries import evidence
from registry.states import EvidenceKind

Groups = dict[str, Mapping[str, Any]]


def features(rows: DataSet, background: DataSet, spec: Mapping[str, Any]) -> list[str]:
    """The columns a model may see: those of both data sets, without the label and what is kept from models."""
    hidden = {spec["label"], *spec["excluded"]}
    known = {column["name"] for column in background.columns}
    return [column["name"] for column in rows.columns if column["name"] in known - hidden]


def groups(spec: Mapping[str, Any]) -> Groups:
    """The privileged rule of each protected column; the first one where a column has several."""
    found: Groups = {}
    for entry in spec["protected"]:
        found.setdefault(entry["column"], entry["privileged"])
    return found


def newest_report(version: ModelVersion) -> dict[str, Any] | None:
    """The version's newest explanation; None when there is none or it is an ERROR. ``Any`` is what JSON is."""
    row = evidence.newest(version, EvidenceKind.EXPLANATION)
    return row.result if row is not None and evidence.is_ok(row) else None
