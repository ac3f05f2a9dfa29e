"""Files in the artifact store that a registered version stands on: nobody replaces or removes them through tracking.

A version is what was registered; were its files open to the next upload, everything decided about it would be about
something else. Deleting the version (where that is allowed) sets its files free again. The files' digests are
``artifacts.py``, the freeze of the version's own row ``stages.py``.

MLflow puts the id of a run, or of a logged model, into the path of each file it keeps for it. So the versions that a
path could belong to are found by those ids, through an index, and only their locations are worked out.
"""

import re
from collections.abc import Iterable
from typing import Final

from django.db import connection

from audit import door
from audit.actors import Actor
from audit.errors import Denied, Invalid
from audit.events import Action
from audit.subjects import INSTALLATION
from registry import tracking
from registry.models import ModelVersion
from registry.queries import visible

_RUN_ID: Final = re.compile(r"[\w-]{1,32}\Z", re.ASCII)
_LOGGED_MODEL_ID: Final = re.compile(r"m-[A-Za-z0-9-]{1,62}\Z")
_ROOT: Final = f"{tracking.SCHEME}:/"
# Asked at each upload of each file, where putting the same together from a queryset costs more than the answer does.
_NEAR: Final = """
    SELECT id FROM registry_modelversion
    WHERE deleted_at IS NULL
      AND (run_id = ANY(%s) OR logged_model_id = ANY(%s) OR storage_location = ANY(%s) OR storage_location LIKE %s)
"""


def check_upload(*, by: Actor, path: str) -> None:
    """Raises Denied when ``path``, in the artifact store, belongs to a registered version that is not deleted."""
    names = _names(path)
    for version, place in _held(names):
        if names[: len(place)] == place:
            raise _refused(by, version)


def check_removal(*, by: Actor, path: str) -> None:
    """``check_upload`` for removing ``path`` with all that is below it.

    Raises Denied also for a folder above the folders of runs and logged models.
    """
    names = _names(path)
    for version, place in _held(names, below=True):
        shared = min(len(names), len(place))
        if names[:shared] == place[:shared]:
            raise _refused(by, version)
    if not _in_one_run(names) and (not names or _holds_folders("/".join(names))):
        refusal = Denied(
            "A folder above those of single runs is not removed here: it can hold the files of registered versions.",
            code="shared_folder",
        )
        door.refuse(by, Action.TRACKING_WRITE, INSTALLATION, refusal)
        raise refusal


def check_upload_to_run(*, by: Actor, run_id: str, path: str) -> None:
    """``check_upload`` for a path in a run. Raises Invalid for a run whose files are in another store."""
    run = tracking.run(run_id)
    if run is None:
        raise Invalid(f"There is no run {run_id[:40]!r}.", code="no_such_run")
    if not run.artifact_uri.startswith(f"{tracking.SCHEME}:"):
        raise Invalid("The files of this run are not in this installation's artifact store.", code="foreign_location")
    # MLflow's server takes the run's folder from its ids, whatever root the run itself names.
    for root in sorted({tracking.folder(run.artifact_uri), f"{run.experiment_id}/{run.run_id}/artifacts"}):
        check_upload(by=by, path=f"{root}/{path}")


def _refused(by: Actor, version: ModelVersion) -> Denied:
    """The refusal, recorded. It names the version to those who may see it."""
    seen = visible.versions(by).filter(pk=version.pk).exists()
    whose = f"version {version.number} of the model {version.model.name}" if seen else "a registered model version"
    refusal = Denied(
        f"These files belong to {whose}, and what is registered does not change: log them under another path or in a"
        " new run, and register that as the next version.",
        code="registered_files",
    )
    door.refuse(by, Action.TRACKING_WRITE, version.subject(), refusal)
    return refusal


def _names(path: str) -> list[str]:
    """The parts of ``path`` as MLflow's server reads it. Raises Invalid for what it would take for an address."""
    found = tracking.decoded(path)
    if found.strip().lower().startswith("file:"):
        raise Invalid("A file in the artifact store has a path, not an address.", code="bad_path")
    return [name for name in found.split("/") if name]


def _logged_models(names: Iterable[str]) -> list[str]:
    return [name for name in names if _LOGGED_MODEL_ID.match(name)]


def _in_one_run(names: list[str]) -> bool:
    runs = (name for name in names if len(name) == 32 and _RUN_ID.match(name))
    return any(tracking.run(name) for name in runs) or any(map(tracking.logged_model, _logged_models(names)))


def _held(names: list[str], *, below: bool = False) -> list[tuple[ModelVersion, list[str]]]:
    """The versions that could stand on files at or below this path, each with every place where its files can be."""
    models = _logged_models(names)
    runs = {name for name in names if _RUN_ID.match(name)}
    for model_id in models:
        logged = tracking.logged_model(model_id)
        if logged is not None and logged.source_run_id:
            runs.add(logged.source_run_id)  # a version may name the model by its run: runs:/<run>/<name>
    above = [_ROOT + "/".join(names[:count]) for count in range(1, len(names) + 1)]
    prefix = re.sub(r"([\\%_])", r"\\\1", _ROOT + "".join(f"{name}/" for name in names)) + "%" if below else None
    with connection.cursor() as cursor:
        cursor.execute(_NEAR, [sorted(runs), models, above, prefix])
        near = [row[0] for row in cursor.fetchall()]
    if not near:
        return []
    rows = ModelVersion.objects.select_related("model").filter(pk__in=near).order_by("created_at")
    located: dict[str, list[str]] = {}
    for row in rows:
        location = row.storage_location or row.source
        if location not in located:
            located[location] = tracking.places(location)
    return [
        (row, tracking.folder(place).split("/"))
        for row in rows
        for place in located[row.storage_location or row.source]
    ]


def _holds_folders(path: str) -> bool:
    return any(size is None for _, size in tracking.list_artifacts(_ROOT + path))
