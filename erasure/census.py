"""The census: what an erasure does with every field of every table of ours. A field nobody decided on fails a test.

Two kinds of people occur in our tables: data subjects, who are in data sets and files and whom a request erases, and
account holders, who are named by their accounts. The decisions say which of them a field can concern.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final


class Decision(StrEnum):
    """What happens to a field. The value is the sentence for the records of processing."""

    KEEP = "Holds no personal data: a count, a state, a time, a digest of content, a key of a row."
    AGGREGATE = "Holds figures over many rows, no row: kept, as the record of what was decided on."
    ROW_FILE = (
        "Names a file with one line per person: the file is deleted with the data set's old content, the name emptied."
    )
    CONTENT = "Describes content that is erased: digests and counts stay, the path is emptied and the file deleted."
    SEALED = "The identifier under a key outside the database: both destroyed when the request closes."
    SUPPRESSION = "A keyed digest of the identifier: kept, so that the same person is recognised when they come back."
    FREE_TEXT = "Written by people. The forms ask them to name nobody; what names somebody is edited by hand."
    COMMITTED = "Personal values only as salted digests, which say nothing once their openings are deleted."
    OPENING = "Opens a salted digest: deleted for the person it concerns."
    PSEUDONYM = "Stands for an account by a random name, or is the account's random id: kept."
    ACCOUNT = "Personal data of an account holder: erased with the account."
    PASSING = "May repeat what people wrote of a model; deleted with the delivery log, after its days of retention."
    CREDENTIAL = "A digest of something only the account holder knows: worthless without it, deleted with the account."


K, P, T = Decision.KEEP, Decision.PSEUDONYM, Decision.FREE_TEXT

_AUDIT: Final[dict[str, dict[Decision, str]]] = {
    "audit.Event": {
        K: "id recorded_at log action outcome object_type object_n mac leaf_hash",
        P: "object_id actor_ref",
        Decision.COMMITTED: "leaf_data",
    },
    "audit.Leaf": {K: "event_id log seq leaf_hash"},
    "audit.Tree": {K: "log size root frontier made_at"},
    "audit.Checkpoint": {K: "log size note made_at"},
    "audit.LogKey": {K: "verifier log from_size"},
    "audit.LogKeyEnd": {K: "verifier to_size"},
    "audit.Cosignature": {K: "log size line"},
    "audit.AnchorReceipt": {K: "log anchor kind size root receipt made_at"},
    "audit.Tile": {K: "log level idx hashes"},
    "audit.Minimum": {K: "log minimum_index event_id made_at"},
    "audit.Head": {K: "object_type n leaf_hash", P: "object_id"},
    "audit.Erasing": {K: "event_id asked_at", P: "ref"},
    "audit.Export": {
        K: "id asked_at log state size total done fence attempts leased_until finished_at digest bytes event_id error",
        P: "account",
        Decision.ACCOUNT: "query",
    },
    "audit.Disclosure": {K: "event_id path kid", P: "subject_id", Decision.OPENING: "ciphertext words"},
    "audit.SubjectKey": {P: "subject_id", Decision.OPENING: "wrapped_dek"},
    "audit.Pseudonym": {P: "ref", Decision.OPENING: "account"},
}
_ACCESS: Final[dict[str, dict[Decision, str]]] = {
    "access.User": {
        K: "is_service is_active must_change_password created_at",
        P: "id owner",
        Decision.ACCOUNT: "username display_name email",
        Decision.CREDENTIAL: "password",
    },
    "access.FormerOwner": {K: "id until", P: "service owner"},
    "access.Group": {K: "id created_at closed_at", T: "name description"},
    "access.Membership": {K: "id group added_at removed_at", P: "user added_by removed_by"},
    "access.RoleGrant": {K: "id group role pattern granted_at until revoked_at", P: "user granted_by revoked_by"},
    "access.Token": {
        K: "id scope created_at expires_at revoked_at",
        P: "user created_by revoked_by",
        T: "name",
        Decision.CREDENTIAL: "prefix digest",
    },
    "access.Session": {
        K: "id auth created_at expires_at ended_at",
        P: "user ended_by",
        Decision.ACCOUNT: "browser address",
    },
    "access.LastUse": {K: "id at"},
    "access.SignInLink": {K: "id created_at expires_at used_at", P: "user", Decision.CREDENTIAL: "digest"},
    "access.Attempt": {K: "id at", Decision.CREDENTIAL: "key"},
}
_REGISTRY: Final[dict[str, dict[Decision, str]]] = {
    "registry.RegisteredModel": {K: "id created_at updated_at last_number", P: "created_by", T: "name description"},
    "registry.ModelVersion": {
        K: "id model number source storage_location run_id run_link logged_model_id stage status created_at updated_at"
        " stage_open deleted_at artifact_digest artifact_manifest artifact_pinned_at",
        P: "created_by",
        T: "description status_message",
    },
    "registry.ModelTag": {K: "id model", T: "key value"},
    "registry.VersionTag": {K: "id version", T: "key value"},
    "registry.Alias": {K: "id model version", T: "name"},
    "registry.StageChange": {K: "id version from_stage to_stage at grant", P: "by"},
    "registry.Tenure": {
        K: "id kind model version period sole action grant ended_action ended_grant",
        P: "by ended_by",
        T: "name",
    },
    "registry.VersionRun": {
        K: "id version run_id experiment status started_at ended_at commit repository fetched_at",
        T: "name entry_point params data",
    },
    "registry.VersionParent": {K: "id version parent parent_number kind created_at", T: "parent_name"},
    "registry.Evidence": {
        K: "id version kind status reason inputs versions seed result_digest created_at",
        P: "requested_by",
        Decision.AGGREGATE: "result",
        Decision.ROW_FILE: "path",
    },
    "registry.Job": {
        K: "id version kind state fence leased_until attempts error created_at finished_at",
        P: "requested_by",
    },
    "registry.DataSet": {
        K: "id number role columns identifiers protected label favourable excluded state parent mlflow_digest"
        " created_at classification retention",
        P: "created_by owner",
        T: "name location",
        Decision.CONTENT: "digest manifest rows path",
    },
    "registry.ForeignDataSet": {
        K: "id version mlflow_digest role source_type created_at",
        T: "name said reason",
    },
    "registry.ArtifactCheck": {K: "version outcome found checked_at due_at"},
    "registry.ArtifactAlarm": {K: "id version digest found raised_at cleared_at"},
    "registry.VersionDataSet": {K: "id version data_set role created_at", P: "created_by"},
    "registry.PromotionRequest": {
        K: "id model version target_stage alias state policy policy_digest sections subject_digest opened_at expires_at"
        " approved_at closed_at",
        P: "requested_by",
        T: "justification",
    },
    "registry.Decision": {K: "id request kind subject_digest sections created_at", P: "by", T: "comment"},
    "registry.Grant": {K: "id request version stage state envelope issued_at valid_until"},
    "registry.OutboxEvent": {
        K: "id entity action subject_type subject_id stream recorded_at",
        Decision.PASSING: "payload",
    },
    "registry.Webhook": {
        K: "id url events status secret standard created_at updated_at deleted_at",
        P: "created_by",
        T: "name description",
    },
    "registry.WebhookHealth": {K: "webhook failures failing_since succeeded_at quiet_until"},
    "registry.Delivery": {K: "id event webhook stream state fence attempts since due_at finished_at error"},
    "registry.DeliveryAttempt": {
        K: "id delivery number at milliseconds status error",
        Decision.PASSING: "response",
    },
}
_ERASURE: Final[dict[str, dict[Decision, str]]] = {
    "erasure.ErasureRequest": {
        K: "id source regulation ground country subdivision received_on filed_at nominal_due legal_due extended_due"
        " holidays_known identifier_type key_version normaliser_version state outcome problem closed_at plan"
        " plan_digest planned_at approved_plan_digest approved_at fence attempts leased_until log_size_before"
        " log_root_before",
        P: "filer approver executor signer closed_by",
        T: "external_id reason",
        Decision.SUPPRESSION: "identifier_digest",
        Decision.SEALED: "box",
    },
    "erasure.ErasureTask": {
        K: "id request data_set successor state columns rows_in erased rows_out file_before file_after kept_digest"
        " erased_with verified_with residual residue_checks reports_emptied fence replaced_at finished_at",
        Decision.ROW_FILE: "leftover",
    },
    "erasure.ModelObligation": {K: "id request version data_set kind state due_on created_at"},
    "erasure.ErasureCertificate": {K: "id request content sha256 issued_at"},
}


def _fields(said: Mapping[Decision, str]) -> dict[str, Decision]:
    found: dict[str, Decision] = {}
    for decision, names in said.items():
        for name in names.split():
            if name in found:
                raise ValueError(f"Two decisions stand for the field {name}.")
            found[name] = decision
    return found


# "app.Model" → field → decision
CENSUS: Final[dict[str, dict[str, Decision]]] = {
    model: _fields(said) for part in (_AUDIT, _ACCESS, _REGISTRY, _ERASURE) for model, said in part.items()
}


def entries() -> Iterator[tuple[str, str, Decision]]:
    """Every decision: model, field, what happens to it. For the documentation and the records of processing."""
    for model, fields in CENSUS.items():
        for name, decision in fields.items():
            yield model, name, decision
