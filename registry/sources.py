"""Where a version's files may come from: a run, a logged model, another version, this installation's artifact store.

Everything else is refused, so that no request makes the service read a foreign address or a file of its own. Asking
tracking is ``registry/tracking.py``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from audit.actors import Actor
from audit.errors import Invalid, NotFound
from registry import fields, tracking
from registry.models import Alias, ModelTag, ModelVersion
from registry.queries import visible

PROMPT_SOURCES: Final = frozenset({"dummy-source", "prompt-template"})
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
_LOGGED_MODEL_ID: Final = re.compile(r"m-[A-Za-z0-9-]{1,62}\Z")


@dataclass(frozen=True)
class Origin:
    """Where a new version comes from. ``storage_location`` is where its files are, empty for a prompt."""

    source: str
    storage_location: str
    run_id: str = ""
    logged_model_id: str = ""
    logged_model: tracking.LoggedModel | None = None


def resolve(by: Actor, source: str, run_id: str | None, model_id: str | None, *, is_prompt: bool) -> Origin:
    """Check ``source`` against the run or logged model it claims to belong to.

    Raises Invalid for a source that is refused, NotFound for a version that is not there, Unavailable when tracking
    has to be asked and does not answer.
    """
    fields.check_text(source, "source", fields.MOST_SOURCE)
    fields.check_text(run_id or "", "run_id", fields.MOST_RUN_ID)
    fields.check_text(model_id or "", "model_id", fields.MOST_LOGGED_MODEL_ID)
    if is_prompt:
        if source not in PROMPT_SOURCES:
            raise Invalid(f"Invalid prompt source: '{source}'. A prompt has no files.", code="bad_source")
        return Origin(source, "", run_id or "")
    _refuse_climbing(source)
    match = _SCHEME.match(source)
    reader = _READERS.get(match.group(1).lower()) if match else None
    if reader is None:
        raise Invalid(
            f"Invalid model version source: '{source}'. The files must be in this installation's artifact store: give"
            " runs:/<run id>/<path>, models:/<logged model id>, models:/<name>/<version> or mlflow-artifacts:/<path>.",
            code="foreign_source",
        )
    return reader(by, source, run_id, model_id)


def _refuse_climbing(source: str) -> None:
    seen, decoded = source, unquote(source)
    while decoded != seen:
        seen, decoded = decoded, unquote(decoded)
    parts = re.split(r"[/\\]", decoded)
    if "\\" in decoded or {".", ".."} & set(parts) or any(ord(character) < 32 for character in decoded):
        raise Invalid(
            f"Invalid model version source: '{source}'. It must be absolute, without relative or hidden parts.",
            code="climbing_source",
        )


def _must_name(source: str, field: str) -> Invalid:
    return Invalid(
        f"Invalid model version source: '{source}'. The {field} request parameter must identify the resource that"
        " contains the source.",
        code="source_not_inside",
    )


def _rest(source: str, field: str) -> str:
    """What follows ``scheme:/``; Invalid when the source names a host."""
    rest = source.partition(":")[2]
    if not rest.startswith("/") or rest.startswith("//"):
        raise _must_name(source, field)
    return rest[1:]


def _of_run(by: Actor, source: str, run_id: str | None, model_id: str | None) -> Origin:
    """``runs:/<run id>/<path>``: the files are under the run, or in the model that the run logged by that name."""
    named, _, path = _rest(source, "run_id").partition("/")
    if model_id:
        raise _must_name(source, "model_id")
    if not run_id or run_id != named:
        raise _must_name(source, "run_id")
    run = _run(source, run_id)
    path = path.strip("/")
    location = f"{run.artifact_uri}/{path}" if path else run.artifact_uri
    if path and not tracking.list_artifacts(location):
        for candidate in run.model_ids:
            model = tracking.logged_model(candidate)
            if model is not None and model.name == path:
                return Origin(source, model.artifact_location, run_id, model.model_id, model)
    tracking.folder(location)
    return Origin(source, location, run_id)


def _run(source: str, run_id: str) -> tracking.Run:
    run = tracking.run(run_id) if _RUN_ID.match(run_id) else None
    if run is None:
        raise _must_name(source, "run_id")
    return run


def _logged(source: str, model_id: str) -> tracking.LoggedModel:
    model = tracking.logged_model(model_id) if _LOGGED_MODEL_ID.match(model_id) else None
    if model is None:
        raise _must_name(source, "model_id")
    return model


def _of_models(by: Actor, source: str, run_id: str | None, model_id: str | None) -> Origin:
    """``models:/<logged model>``, ``models:/<name>/<version, stage or latest>`` or ``models:/<name>@<alias>``."""
    rest = _rest(source, "model_id")
    if "/" not in rest and "@" not in rest:
        if not model_id or model_id != rest:
            raise _must_name(source, "model_id")
        model = _logged(source, model_id)
        tracking.folder(model.artifact_location)
        return Origin(source, model.artifact_location, run_id or model.source_run_id, model_id, model)
    found = _version(by, source, rest)
    if (run_id is not None and run_id != found.run_id) or (model_id is not None and model_id != found.logged_model_id):
        raise Invalid(
            f"Invalid model version source: '{source}'. The run_id and model_id request parameters must match the"
            " referenced model version.",
            code="source_not_inside",
        )
    place = found.storage_location or found.source
    tracking.folder(place)
    return Origin(f"models:/{found.model.name}/{found.number}", place, found.run_id, found.logged_model_id)


def _version(by: Actor, source: str, rest: str) -> ModelVersion:
    name, slash, suffix = rest.partition("/")
    if slash and suffix.isascii() and suffix.isdigit():
        found = visible.version(by, name, suffix)
    elif slash:
        model = visible.model(by, name)
        rows = visible.versions(by).filter(model=model).order_by("-number")
        if suffix.lower() != "latest":
            rows = rows.filter(stage=fields.stage_of(suffix).value)
        found = _first(rows.first(), source)
    else:
        name, _, alias = rest.rpartition("@")
        row = Alias.objects.filter(model=visible.model(by, name), name=alias).first()
        found = _first(visible.versions(by).filter(pk=row.version_id).first() if row else None, source)
    if ModelTag.objects.filter(model=found.model, key=fields.PROMPT_TAG, value__iexact="true").exists():
        raise Invalid(f"Invalid model version source: '{source}'. A prompt has no files.", code="bad_source")
    return found


def _first(row: ModelVersion | None, source: str) -> ModelVersion:
    if row is None:
        raise NotFound(f"Model Version ({source}) not found")
    return row


def _of_store(by: Actor, source: str, run_id: str | None, model_id: str | None) -> Origin:
    """``mlflow-artifacts:/<path>``: inside the named logged model, or else inside the named run."""
    _rest(source, "run_id")
    inside = tracking.folder(source)
    logged = _logged(source, model_id) if model_id else None
    if logged is not None:
        root, field = logged.artifact_location, "model_id"
    elif run_id:
        root, field = _run(source, run_id).artifact_uri, "run_id"
    else:
        raise _must_name(source, "run_id")
    place = tracking.folder(root)
    if inside != place and not inside.startswith(f"{place}/"):
        raise _must_name(source, field)
    inherited = logged.source_run_id if logged else ""
    return Origin(source, source, run_id or inherited, model_id or "", logged)


_Reader = Callable[[Actor, str, str | None, str | None], Origin]
_READERS: Final[dict[str, _Reader]] = {"runs": _of_run, "models": _of_models, tracking.SCHEME: _of_store}
