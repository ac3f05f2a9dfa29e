"""What may stand in a field of the registry: lengths, characters, reserved words. Pure; every refusal is an Invalid.

The limits are those of MLflow's clients, so that what they accept fits. Where files may be is ``registry/sources.py``.
"""

import json
import posixpath
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from audit.errors import Invalid
from audit.subjects import Subject
from registry.states import PROMPT_TAG as PROMPT_TAG
from registry.states import Stage

MOST_NAME: Final = 256
MOST_ALIAS: Final = 255
MOST_DESCRIPTION: Final = 5_000
MOST_TAG_KEY: Final = 250
MOST_TAG_VALUE: Final = 100_000
MOST_TAGS: Final = 1_000
MOST_SOURCE: Final = 500
MOST_RUN_ID: Final = 32
MOST_LOGGED_MODEL_ID: Final = 64
PROMPT_TEXT_TAG: Final = "mlflow.prompt.text"

_ALIAS: Final = re.compile(r"[\w-]+\Z")
_VERSION_ALIAS: Final = re.compile(r"[vV]\d+\Z")
_TAG_KEY: Final = re.compile(r"[/\w.\- :]+\Z")


def subject_of_name(name: str) -> Subject:
    """The subject for a model that is not there yet: its scope is the name it asks for, fit for the trail."""
    plain = unicodedata.normalize("NFC", name)[:MOST_NAME]
    return Subject(type="registered_model", id="", scope=plain, label=plain)


def check_model_name(name: str, field: str = "name") -> str:
    """``name`` when a model may be called that."""
    if not name.strip():
        raise Invalid(f"Missing value for required parameter '{field}'.", code="missing")
    check_text(name, field, MOST_NAME)
    check_spoken_name(name)
    if any(unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} for character in name):
        raise Invalid("A model name cannot hold line breaks or invisible characters.", code="bad_name")
    if not unicodedata.is_normalized("NFC", name):
        raise Invalid("A model name must be in Unicode normal form C, so that equal names are equal.", code="bad_name")
    return name


def check_spoken_name(name: str) -> str:
    """``name`` when a model could be called that in a request; what names nothing is not looked up."""
    if not name.strip():
        raise Invalid("Missing value for required parameter 'name'.", code="missing")
    if set(name) & set("/:"):
        raise Invalid(f"Invalid model name '{name[:MOST_NAME]}'. Names cannot contain '/' or ':'.", code="bad_name")
    normal = posixpath.normpath(name)
    if normal != name or normal == "." or normal.startswith(".."):
        raise Invalid(
            f"Invalid value {json.dumps(name[:MOST_NAME], ensure_ascii=False)} for parameter 'name' supplied: Names may"
            " be treated as files in certain cases, and must not resolve to other names when treated as such. This"
            f" name would resolve to {normal[:MOST_NAME]!r}",
            code="bad_name",
        )
    return name


def check_alias(alias: str) -> str:
    """``alias`` when a version may be called that."""
    check_alias_text(alias)
    if alias.lower() == "latest":
        raise Invalid("'latest' alias name (case insensitive) is reserved.", code="reserved_alias")
    if _VERSION_ALIAS.match(alias):
        raise Invalid(f"Version alias name '{alias}' is reserved.", code="reserved_alias")
    return alias


def check_alias_text(alias: str) -> str:
    """``alias`` when it is written as aliases are; reserved ones, which nobody can set, included."""
    check_text(alias, "Registered model alias name", MOST_ALIAS)
    if not _ALIAS.match(alias) or not unicodedata.is_normalized("NFC", alias):
        raise Invalid(
            f"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-).",
            code="bad_alias",
        )
    return alias


def check_tag(key: str, value: str) -> None:
    """Return when a tag may read so."""
    check_tag_key(key)
    if key == PROMPT_TEXT_TAG and len(value) > MOST_TAG_VALUE:
        raise Invalid(f"Prompt text exceeds max length of {MOST_TAG_VALUE} characters.", code="too_long")
    check_text(value, "value", MOST_TAG_VALUE)


def check_tag_key(key: str) -> None:
    """Return when a tag may be called that."""
    check_text(key, "key", MOST_TAG_KEY)
    climbs = posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == "."
    if climbs or not _TAG_KEY.match(key) or not unicodedata.is_normalized("NFC", key):
        raise Invalid(
            f"Invalid value {json.dumps(key, ensure_ascii=False)} for parameter 'key' supplied: Names may only contain"
            " alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/), and must"
            " not be a path that climbs.",
            code="bad_key",
        )


def check_tags(tags: Mapping[str, str]) -> None:
    """Return when an object may be made with these tags."""
    if len(tags) > MOST_TAGS:
        raise Invalid(f"At most {MOST_TAGS} tags can be set at once; {len(tags)} were given.", code="too_many_tags")
    for key, value in tags.items():
        check_tag(key, value)


def check_description(text: str | None) -> str | None:
    """``text`` when it fits."""
    return None if text is None else check_text(text, "description", MOST_DESCRIPTION)


def check_text(text: str, field: str, most: int) -> str:
    """``text`` when it has at most ``most`` characters and can be stored."""
    if len(text) > most:
        raise Invalid(
            f"'{field}' exceeds the maximum length of {most} characters: it has {len(text)}.", code="too_long"
        )
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Invalid(f"'{field}' holds a character that is not text (NUL or half of a pair).", code="bad_text")
    return text


def stage_of(text: str) -> Stage:
    """The stage that is written so, in any case."""
    for stage in Stage:
        if stage.value.lower() == text.lower():
            return stage
    names = ", ".join(stage.value for stage in Stage)
    raise Invalid(f"Invalid Model Version stage: {text[:40]}. Value must be one of {names}.", code="unknown_stage")


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Whether something with these tags is a prompt: a prompt is a model or version with this one tag."""
    return tags.get(PROMPT_TAG, "").lower() == "true"
