"""Manifests: one canonical form, one digest, and no path that leads anywhere else."""

import hashlib

import pytest

from audit.errors import Invalid
from registry import manifest
from registry.manifest import File

EMPTY = hashlib.sha256(b"").hexdigest()


def test_the_digest_is_sha256_over_the_canonical_json_of_the_sorted_files() -> None:
    made = manifest.of([File("b.txt", 0, EMPTY), File("a/é.txt", 0, EMPTY)])
    assert [entry["path"] for entry in made["files"]] == ["a/é.txt", "b.txt"]
    rest = f'","sha256":"{EMPTY}","size":0}}'
    canonical = '{"files":[{"path":"a/é.txt' + rest + ',{"path":"b.txt' + rest + "]}"
    assert manifest.digest(made) == hashlib.sha256(canonical.encode()).hexdigest()
    # printf '%s' '{"files":[]}' | sha256sum
    assert manifest.digest(manifest.of([])) == "602e35a92eec4bc0a2ec6ae113f07bfc6933322fb69fe8dee416e5a67217e2a2"


def test_the_order_of_the_files_does_not_matter() -> None:
    files = [File("a", 1, EMPTY), File("b/c", 2, EMPTY), File("b/a", 3, EMPTY)]
    assert manifest.of(files) == manifest.of(reversed(files))
    assert manifest.size(manifest.of(files)) == 6


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a/./b", "a\x00b", "a\nb", "a\\b", "\ud800", "x" * 256,
     "a/" * 500 + "a"],
)  # fmt: skip
def test_an_unsafe_path_is_refused(path: str) -> None:
    with pytest.raises(Invalid, match="cannot be part of a manifest") as refused:
        manifest.of([File(path, 0, EMPTY)])
    assert refused.value.code == "unsafe_path"


def test_paths_that_are_one_path_in_normal_form_are_refused() -> None:
    with pytest.raises(Invalid, match="it occurs twice"):
        manifest.of([File("caf\u00e9", 0, EMPTY), File("cafe\u0301", 0, EMPTY)])


def test_a_file_cannot_be_a_folder_as_well() -> None:
    with pytest.raises(Invalid, match="a file stands where its folder would be"):
        manifest.of([File("a", 0, EMPTY), File("a/b", 0, EMPTY)])


def test_too_many_files_are_refused() -> None:
    with pytest.raises(Invalid) as refused:
        manifest.of(File(str(number), 0, EMPTY) for number in range(manifest.MOST_FILES + 1))
    assert refused.value.code == "too_many_files"
