"""The registry's tables."""

from registry.models.artifacts import ArtifactAlarm, ArtifactCheck
from registry.models.evidence import Evidence, Job
from registry.models.history import Tenure
from registry.models.lineage import DataSet, ForeignDataSet, VersionDataSet
from registry.models.model import Alias, ModelTag, ModelVersion, RegisteredModel, StageChange, VersionTag
from registry.models.promotion import Decision, Grant, PromotionRequest
from registry.models.runs import VersionParent, VersionRun
from registry.models.webhook import Delivery, DeliveryAttempt, OutboxEvent, Webhook, WebhookHealth

__all__ = [
    "Alias",
    "ArtifactAlarm",
    "ArtifactCheck",
    "DataSet",
    "Decision",
    "Delivery",
    "DeliveryAttempt",
    "Evidence",
    "ForeignDataSet",
    "Grant",
    "Job",
    "ModelTag",
    "ModelVersion",
    "OutboxEvent",
    "PromotionRequest",
    "RegisteredModel",
    "StageChange",
    "Tenure",
    "VersionDataSet",
    "VersionParent",
    "VersionRun",
    "VersionTag",
    "Webhook",
    "WebhookHealth",
]
