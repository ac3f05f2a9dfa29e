"""Reads of fairness reports: what one is asked to compute, and the one in force. Computing is ``engine/``."""

from collections.abc import Mapping
from typing import Any, cast

from fairness.engine.report import FairnessReport
from fairness.engine.spec import FairnessSpec
from registry.models import ModelVersion
from registry.queries import evidence
from registry.states import EvidenceKind


def spec_of(inputs: Mapping[str, Any]) -> FairnessSpec:
    """The spec that a report's recorded inputs ask for. Raises SpecError with a sentence when they do not make one."""
    return FairnessSpec.from_json(inputs["spec"])


def newest_report(version: ModelVersion) -> FairnessReport | None:
    """The version's newest fairness report; None when there is none or it is an ERROR."""
    row = evidence.newest(version, EvidenceKind.FAIRNESS)
    return cast(FairnessReport, row.result) if row is not None and evidence.is_ok(row) else None
