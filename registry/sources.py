"""What a version's source may say, by MLflow's rules: a run, a logged model, another version, or a foreign address.

No file is fetched here, and only rules that name a run's or a logged model's folder ask tracking where it is. Reading
files is ``registry/tracking.py``, which follows this installation's artifact store alone: a version with a foreign
source is registered, and its files are never read.
"""

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, unquote_plus, urlsplit

from django.conf import settings

from audit.actors import Actor
from audit.errors import Invalid, NotFound, Unavailable
from registry import fields, tracking
from registry.models import Alias, ModelTag, ModelVersion
from registry.queries import visible

PROMPT_SOURCES: Final = frozenset({"dummy-source", "prompt-template"})
# They make whoever follows them connect to the host in the address.
_HOSTED: Final = frozenset({"abfss", "b2", "ftp", "hdfs", "http", "https", "r2", "sftp", "viewfs"})
_SCHEMES: Final = "MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_RUN_ID: Final = re.compile(r"[\w-]{1,32}\Z", re.ASCII)
_LOGGED_MODEL_ID: Final = re.compile(r"m-[A-Za-z0-9-]{1,62}\Z")
_PROXY: Final = ("api", "2.0", tracking.SCHEME, "artifacts")


@dataclass(frozen=True)
class Origin:
    """Where a new version comes from. ``storage_location`` is where a client finds its files, empty for a prompt."""

    source: str
    storage_location: str
    run_id: str = ""
    logged_model_id: str = ""
    logged_model: tracking.LoggedModel | None = None


@dataclass(frozen=True)
class Claim:
    """What a request says of a source. None means that nothing was said, which is not the same as an empty text."""

    by: Actor
    source: str
    run_id: str | None
    model_id: str | None

    def must_name(self, field: str) -> Invalid:
        return Invalid(
            f"Invalid model version source: '{self.source}'. The {field} request parameter must identify the resource"
            " that contains the source.",
            code="source_not_inside",
        )


def resolve(by: Actor, source: str, run_id: str | None, model_id: str | None, *, is_prompt: bool) -> Origin:
    """Check ``source`` against the run or logged model it claims to belong to.

    Raises Invalid for a source that is refused, NotFound for a version that is not there, Unavailable when tracking
    has to be asked and does not answer.
    """
    fields.check_text(source, "source", fields.MOST_SOURCE)
    fields.check_text(run_id or "", "run_id", fields.MOST_RUN_ID)
    fields.check_text(model_id or "", "model_id", fields.MOST_LOGGED_MODEL_ID)
    pattern = settings.MLFLOW_SOURCE_PATTERN
    if pattern is not None and not pattern.search(source):
        raise Invalid(f"Invalid model version source: '{source}'.", code="source_pattern")
    if is_prompt:
        if source not in PROMPT_SOURCES:
            raise Invalid(
                f"Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder.", code="bad_source"
            )
        return Origin(source, "", run_id or "")
    claim = Claim(by, source, run_id, model_id)
    match = _SCHEME.match(source)
    scheme = match.group(1).lower() if match else "file"
    if scheme == "file":
        return _local(claim)
    _refuse_hidden(source, scheme)
    return _READERS.get(scheme, _foreign)(claim)


def download_uri(version: ModelVersion) -> str:
    """Where a client fetches the files of ``version``: what it was registered with, as MLflow answers.

    Save for ``runs:/<run>/<name>`` when only a logged model has that name: the stock client would look among the run's
    own files and find nothing, so it is given the model's place.
    """
    location = version.storage_location or version.source
    if not location.startswith("runs:/"):
        return location
    try:
        places = tracking.places(location)
        return places[-1] if len(places) > 1 and not tracking.list_artifacts(places[0]) else location
    except (Invalid, NotFound, Unavailable):
        return location


def _refuse_hidden(source: str, scheme: str) -> None:
    """Refuse relative parts, also encoded ones, and a host that this installation was not told to trust."""
    reasons, code = [], "foreign_source"
    if _climbs(source):
        code = "climbing_source"
        reasons.append(
            "If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, an"
            " absolute path must be provided without relative path references present. Please provide an absolute path."
        )
    if scheme in _HOSTED - settings.MLFLOW_SOURCE_SCHEMES:
        reasons.append(
            f"'source' cannot use the '{scheme}' scheme: it addresses a host other than this installation's artifact"
            f" storage. An operator can allow it with {_SCHEMES}."
        )
    if reasons:
        raise Invalid(f"Invalid model version source: '{source}'. {' '.join(reasons)}", code=code)


def _climbs(source: str) -> bool:
    seen, decoded = source, unquote_plus(source)
    while decoded != seen:
        seen, decoded = decoded, unquote_plus(decoded)
    parts = re.split(r"[/\\]", decoded)
    return "\\" in decoded or bool({".", ".."} & set(parts)) or any(ord(character) < 32 for character in decoded)


def _local(claim: Claim) -> Origin:
    """A path on a machine: only inside the folder of the named run or logged model, where that is a path as well."""
    split = urlsplit(claim.source) if claim.source.lower().startswith("file:") else None
    if split is not None and split.hostname not in {None, "localhost", "127.0.0.1", "."}:
        raise Invalid(
            f"Invalid model version source: '{claim.source}'. {claim.source} is not a valid remote uri.",
            code="foreign_host",
        )
    field = "model_id" if claim.model_id else "run_id"
    path = split.path if split is not None else claim.source
    logged, root = _root(claim)
    inside = posixpath.normpath(unquote(path)) if path.startswith("/") else ""
    place = posixpath.normpath(unquote(urlsplit(root).path)) if root.startswith(("/", "file:")) else ""
    if not inside or not place or (inside != place and not inside.startswith(f"{place}/")):
        raise Invalid(
            f"Invalid model version source: '{claim.source}'. To use a local path as a model version source, the"
            f" {field} request parameter has to be specified and the local path has to be contained within the artifact"
            f" directory of the run specified by the {field}.",
            code="source_not_inside",
        )
    return _made(claim, logged)


def _root(claim: Claim) -> tuple[tracking.LoggedModel | None, str]:
    """The folder of the logged model that is named, or else of the run; empty when neither is."""
    if claim.model_id:
        logged = _logged(claim)
        return logged, logged.artifact_location
    return None, _run(claim).artifact_uri if claim.run_id else ""


def _made(claim: Claim, logged: tracking.LoggedModel | None, location: str = "") -> Origin:
    inherited = logged.source_run_id if logged else ""
    return Origin(claim.source, location or claim.source, claim.run_id or inherited, claim.model_id or "", logged)


def _run(claim: Claim) -> tracking.Run:
    run = tracking.run(claim.run_id) if claim.run_id and _RUN_ID.match(claim.run_id) else None
    if run is None:
        raise claim.must_name("run_id")
    return run


def _logged(claim: Claim) -> tracking.LoggedModel:
    known = claim.model_id and _LOGGED_MODEL_ID.match(claim.model_id)
    model = tracking.logged_model(claim.model_id) if claim.model_id and known else None
    if model is None:
        raise claim.must_name("model_id")
    return model


def _of_run(claim: Claim) -> Origin:
    """``runs:/<run id>/<path>``: the id must be the named run's. Where its files are is asked when they are read."""
    if claim.model_id:
        raise claim.must_name("model_id")
    split = urlsplit(claim.source)
    named = split.path.removeprefix("/").partition("/")[0]
    if split.netloc or not split.path.startswith("/") or not named or named != claim.run_id:
        raise claim.must_name("run_id")
    return _made(claim, None)


def _of_models(claim: Claim) -> Origin:
    """``models:/<logged model>``, ``models:/<name>/<version, stage or latest>`` or ``models:/<name>@<alias>``."""
    rest = claim.source.partition(":")[2]
    if not rest.startswith("/") or rest.startswith("//"):
        raise claim.must_name("model_id")
    rest = unquote(rest[1:])
    if "/" not in rest and "@" not in rest:
        if not claim.model_id or claim.model_id != rest:
            raise claim.must_name("model_id")
        logged = _logged(claim)
        return _made(claim, logged, logged.artifact_location)
    found = _version(claim, rest)
    differs = claim.run_id is not None and claim.run_id != found.run_id
    if differs or (claim.model_id is not None and claim.model_id != found.logged_model_id):
        raise Invalid(
            f"Invalid model version source: '{claim.source}'. The run_id and model_id request parameters must match the"
            " referenced model version.",
            code="source_not_inside",
        )
    place = found.storage_location or found.source
    return Origin(f"models:/{found.model.name}/{found.number}", place, found.run_id, found.logged_model_id)


def _version(claim: Claim, rest: str) -> ModelVersion:
    name, slash, suffix = rest.partition("/")
    if slash and suffix.isascii() and suffix.isdigit():
        found = visible.version(claim.by, name, suffix)
    elif slash:
        found = _latest(claim, name, suffix)
    else:
        name, _, alias = rest.rpartition("@")
        found = _latest(claim, name, alias) if alias.lower() == "latest" else _by_alias(claim.by, name, alias)
    if ModelTag.objects.filter(model=found.model, key=fields.PROMPT_TAG, value__iexact="true").exists():
        raise Invalid(
            f"Invalid model version source: '{claim.source}'. Prompt versions cannot be used as model version sources.",
            code="bad_source",
        )
    return found


def _latest(claim: Claim, name: str, stage: str) -> ModelVersion:
    rows = visible.versions(claim.by).filter(model=visible.model(claim.by, name)).order_by("-number")
    if stage.lower() != "latest":
        rows = rows.filter(stage=fields.stage_of(stage).value)
    row = rows.first()
    if row is None:
        raise NotFound(f"Model Version ({claim.source}) not found")
    return row


def _by_alias(by: Actor, name: str, alias: str) -> ModelVersion:
    row = Alias.objects.filter(model=visible.model(by, name), name=alias).first()
    found = visible.versions(by).filter(pk=row.version_id).first() if row else None
    if found is None:
        raise Invalid(f"Registered model alias {alias} not found.", code="unknown_alias")
    return found


def _of_store(claim: Claim) -> Origin:
    """An address in an artifact store behind MLflow: inside the named logged model, or else inside the named run."""
    logged, root = _root(claim)
    scheme, host, parts = _place(claim.source)
    split = urlsplit(claim.source)
    inside = (scheme, host) == _place(root)[:2] and parts[: len(_place(root)[2])] == _place(root)[2]
    if not root or not _place(root)[2] or not inside or split.query or split.fragment:
        raise claim.must_name("model_id" if claim.model_id else "run_id")
    return _made(claim, logged)


def _place(address: str) -> tuple[str, str, tuple[str, ...]]:
    split = urlsplit(address)
    return split.scheme.lower(), split.netloc.lower(), tuple(unquote(part) for part in split.path.split("/") if part)


def _foreign(claim: Claim) -> Origin:
    """Any other address: kept as it was given, and never followed by this service."""
    parts = _place(claim.source)[2]
    if any(parts[at : at + len(_PROXY)] == _PROXY for at in range(len(parts))):
        return _of_store(claim)
    return _made(claim, _logged(claim) if claim.model_id else None)


_Reader = Callable[[Claim], Origin]
_READERS: Final[dict[str, _Reader]] = {"runs": _of_run, "models": _of_models, tracking.SCHEME: _of_store}
