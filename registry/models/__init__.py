"""The registry's tables."""

from registry.models.evidence import Evidence, Job
from registry.models.lineage import DataSet, VersionDataSet
from registry.models.model import Alias, ModelTag, ModelVersion, RegisteredModel, StageChange, VersionTag
from registry.models.promotion import Decision, Grant, PromotionRequest

__all__ = [
    "Alias",
    "DataSet",
    "Decision",
    "Evidence",
    "Grant",
    "Job",
    "ModelTag",
    "ModelVersion",
    "PromotionRequest",
    "RegisteredModel",
    "StageChange",
    "VersionDataSet",
    "VersionTag",
]
