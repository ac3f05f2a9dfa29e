"""The commands: each parses, calls the service, prints. ``--json`` prints what the service answered."""

import functools
import json
import platform
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from web.cli import credentials, files, tables
from web.cli.credentials import Credentials
from web.cli.service import Service

JSON = click.option("--json", "as_json", is_flag=True, help="Print the service's answer as JSON.")
_ROLES = ("training", "validation", "evaluation")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def plimsoll() -> None:
    """Model governance from the command line: models, data sets, lineage, artifacts, tokens."""


def _with_service(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def run(*args: Any, **given: Any) -> None:
        found = credentials.found()
        command(Service(found.url, found), *args, **given)

    return run


# -- who is calling --------------------------------------------------------------------------------------------------


@plimsoll.command()
@click.argument("url")
@click.option("--username", "-u", prompt=True, help="Your account.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 365), help="How long the token lasts.")
@click.option("--scope", default="registry", show_default=True, type=click.Choice(["read", "registry", "full"]))
@click.password_option("--password", confirmation_prompt=False, help="Better typed than given.")
def login(url: str, username: str, days: int, scope: str, password: str) -> None:
    """Get a token from the service at URL and keep it for the other commands. The password is not kept."""
    address = credentials.checked_url(url)
    until = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    named = {"name": f"plimsoll on {platform.node()}"[:100], "scope": scope, "expires_at": until}
    made = Service(address, (username, password)).post("tokens", json=named)
    where = credentials.keep(Credentials(address, made["secret"]))
    click.echo(f"Logged in as {tables.shown(username)} until {until[:10]}. The token is in {where}.")


@plimsoll.command()
def logout() -> None:
    """Forget the token on this machine. Revoke it with `plimsoll tokens revoke` too when others may have seen it."""
    click.echo("The token is forgotten." if credentials.drop() else "Nobody was logged in here.")


@plimsoll.command()
@JSON
@_with_service
def whoami(service: Service, as_json: bool) -> None:
    """Show the account and its roles."""
    told = service.get("me")
    if as_json:
        tables.as_json(told)
        return
    held = [f"{role['role']} on {role['pattern'] or 'everything'}" for role in told["roles"]]
    tables.pairs({"account": told["username"], "by": told["auth"], "token": told["token_scope"], "roles": held})


@plimsoll.group()
def tokens() -> None:
    """Bearer tokens of your account."""


@tokens.command("list")
@JSON
@_with_service
def list_tokens(service: Service, as_json: bool) -> None:
    """List your tokens; secrets are never shown again."""
    told = service.get("tokens")
    columns = ("id", "name", "prefix", "scope", "expires_at", "last_used_at", "revoked_at")
    tables.as_json(told) if as_json else tables.table(columns, told["tokens"], "You have no tokens.")


@tokens.command("create")
@click.argument("name")
@click.option("--scope", default="registry", show_default=True, type=click.Choice(["read", "registry", "full"]))
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 3650))
@JSON
@_with_service
def create_token(service: Service, name: str, scope: str, days: int, as_json: bool) -> None:
    """Make a token; its secret is shown this once."""
    until = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    made = service.post("tokens", json={"name": name, "scope": scope, "expires_at": until})
    tables.as_json(made) if as_json else click.echo(made["secret"])


@tokens.command("revoke")
@click.argument("token_id")
@_with_service
def revoke_token(service: Service, token_id: str) -> None:
    """Revoke a token at once."""
    service.delete("tokens", token_id)
    click.echo("It is revoked.")


# -- data sets -------------------------------------------------------------------------------------------------------


@plimsoll.group("data-sets")
def data_sets() -> None:
    """Data sets: pinned versions of the data that models are built and judged on."""


@data_sets.command("list")
@JSON
@_with_service
def list_data_sets(service: Service, as_json: bool) -> None:
    """List data sets, newest first."""
    told = service.get("data-sets")
    columns = ("name", "version", "role", "rows", "state", "digest")
    tables.as_json(told) if as_json else tables.table(columns, told["data_sets"], "There are no data sets yet.")


@data_sets.command("register")
@click.argument("name")
@click.argument("data")
@click.option("--role", required=True, type=click.Choice(_ROLES))
@click.option("--label", default="", help="The column that is predicted.")
@click.option("--favourable", default=None, help="The label's favourable value, as JSON.")
@click.option("--protected", multiple=True, help="A protected attribute: COLUMN, or JSON with column and privileged.")
@click.option("--identifier", multiple=True, help="COLUMN=KIND of a column that identifies people.")
@click.option("--exclude", multiple=True, help="A column that no model may use.")
@click.option("--owner", default="", help="Who answers for the data; you when left out.")
@click.option("--classification", default="")
@click.option("--retention", default="")
@JSON
@_with_service
def register_data_set(service: Service, as_json: bool, data: str, **said: Any) -> None:
    """Register DATA as the next version of NAME.

    DATA is a Parquet or CSV file here, which is uploaded, or an address (s3://…, file://…) that the service reads.
    """
    about = _about(**said)
    if "://" in data:
        made = service.post("data-sets", json={**about, "location": data})
    else:
        path = Path(data)
        if not path.is_file():
            raise click.ClickException(f"There is no file {data}. Give a file, or an address with its scheme.")
        with path.open("rb") as file:
            made = service.post("data-sets", files={"file": (path.name, file)}, data={"about": json.dumps(about)})
    if as_json:
        tables.as_json(made)
    else:
        tables.pairs({each: made[each] for each in ("name", "version", "role", "rows", "digest")})


def _about(**said: Any) -> dict[str, Any]:
    about = {name: said[name] for name in ("name", "role", "label", "owner", "classification", "retention")}
    about["favourable"] = None if said["favourable"] is None else _json(said["favourable"], "--favourable")
    about["protected"] = [_protected(each) for each in said["protected"]]
    about["excluded"] = list(said["exclude"])
    about["identifiers"] = dict(_identifier(each) for each in said["identifier"])
    return about


def _protected(text: str) -> dict[str, Any]:
    if not text.startswith("{"):
        return {"column": text}
    found = _json(text, "--protected")
    if not isinstance(found, dict):
        raise click.BadParameter("JSON with column and privileged is wanted.", param_hint="--protected")
    return found


def _identifier(text: str) -> tuple[str, str]:
    column, equals, kind = text.rpartition("=")
    if not equals or not column or not kind:
        raise click.BadParameter(f"{text!r} is not COLUMN=KIND.", param_hint="--identifier")
    return column, kind


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not JSON; quote text as '\"good\"'.", param_hint=option) from None


# -- models ----------------------------------------------------------------------------------------------------------


@plimsoll.group()
def versions() -> None:
    """Model versions."""


@versions.command("show")
@click.argument("model")
@click.argument("version")
@click.option("--as-of", default="", help="At this instant, as 2026-11-22T12:00:00Z.")
@JSON
@_with_service
def show_version(service: Service, model: str, version: str, as_of: str, as_json: bool) -> None:
    """Show a version: its stage, aliases, digest, data and evidence."""
    asked = {"as_of": as_of} if as_of else {}
    told = service.get("models", model, "versions", version, **asked)
    if as_json:
        tables.as_json(told)
        return
    names = ("model", "version", "stage", "aliases", "description", "source", "run_id", "artifact_digest")
    tables.pairs({name: told[name] for name in (*names, "created_by", "created_at")})
    click.echo("\nData")
    tables.table(("role", "name", "version", "state", "digest"), told["data_sets"], "No data set is linked.")
    click.echo("\nEvidence")
    tables.table(("kind", "status", "created_at", "result_digest"), told["evidence"], "There is no evidence yet.")


@versions.command("lineage")
@click.argument("model")
@click.argument("version")
@click.option("--direction", default="both", show_default=True, type=click.Choice(["up", "down", "both"]))
@click.option("--depth", default=0, help="How many steps; the service's usual when left out.")
@JSON
@_with_service
def lineage(service: Service, model: str, version: str, direction: str, depth: int, as_json: bool) -> None:
    """Show what a version was made of, and what was made of it."""
    asked: dict[str, str | int] = {"direction": direction, **({"depth": depth} if depth else {})}
    told = service.get("models", model, "versions", version, "lineage", **asked)
    if as_json:
        tables.as_json(told)
        return
    labels = {
        node["key"]: f"{node['type']} {'(hidden)' if node['hidden'] else node['label']}" for node in told["nodes"]
    }
    edges = [
        {"from": labels[edge["source"]], "as": edge["kind"], "to": labels[edge["target"]]} for edge in told["edges"]
    ]
    tables.table(("from", "as", "to"), edges, "Nothing is recorded.")
    if told["message"]:
        click.echo(told["message"], err=True)


@versions.command("verify")
@click.argument("model")
@click.argument("version")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@JSON
@_with_service
def verify(service: Service, model: str, version: str, path: Path, as_json: bool) -> None:
    """Compare the files at PATH with the registered ones; exit status 1 when they differ."""
    registered = service.get("models", model, "versions", version, "manifest")
    here = files.manifest_of(path)
    found = files.differences(registered, here)
    if as_json:
        tables.as_json({"registered": registered["digest"], "here": files.digest_of(here), "differences": found})
    elif found:
        tables.table(("path", "is"), found, "")
    else:
        click.echo(f"All {len(here['files'])} files are the registered ones: {registered['digest']}")
    if found:
        raise SystemExit(1)


@versions.command("check")
@click.argument("model")
@click.argument("version")
@_with_service
def check(service: Service, model: str, version: str) -> None:
    """Have the service read the version's stored files again; the result shows on the version."""
    job = service.post("models", model, "versions", version, "checks")
    click.echo(f"Asked for: job {job['id']} is {job['state']}.")
