"""What the verifier says of one object's life, of times against ticks, and of the checkpoints an auditor kept."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit import bundle, merkle, note
from tests.audit.sample_log import KEY, LOG, ORIGIN, SIZE, Log, a_log, edit, edit_lines, judge, last_line, unpacked
from tests.audit.test_verify_rules import WITNESS_KEY, cosigned

# -- the whole life of one object --------------------------------------------------------------------------------------

LIFE = [index for index in range(SIZE) if index * index % 5 == 4]  # the events of m4 in LOG
OF_M4 = {"completeness": "object", "subject": ("model_version", "m4")}
TOLD = 'events {}–{} of "model_version" "m4" in a log of 36{}; that none follows is not proven, UNWITNESSED'


def of_object(indices: list[int], folder: Path, log: Log = LOG, **more: object) -> Path:
    return unpacked(log.zip_of_entries(indices, **{**OF_M4, **more}), folder)


def test_all_events_of_one_object(tmp_path: Path) -> None:
    assert len(LIFE) == 14
    assert last_line(of_object(LIFE, tmp_path)) == (0, "VERIFIED IN PART  " + TOLD.format(1, 14, ""))


@pytest.mark.parametrize("gone", [0, 5, 12])
def test_an_event_left_out_of_an_object_s_life_is_found(gone: int, tmp_path: Path) -> None:
    left = LIFE[:gone] + LIFE[gone + 1 :]
    code, line = last_line(of_object(left, tmp_path))
    assert code == 1
    assert line.startswith(f"TAMPERED  chain: entry {left[gone]} (id ")
    assert line.endswith(f") counts as event {gone + 2} of its object; the one before it was {gone}")


def test_that_the_last_event_is_there_is_not_claimed(tmp_path: Path) -> None:
    assert last_line(of_object(LIFE[:-1], tmp_path)) == (0, "VERIFIED IN PART  " + TOLD.format(1, 13, ""))


def test_an_event_of_another_object_does_not_belong(tmp_path: Path) -> None:
    code, line = last_line(of_object(sorted([*LIFE, 4]), tmp_path / "one"))
    assert code == 1
    assert line.startswith("TAMPERED  chain: entry 4 (id ")
    assert line.endswith("is no counted event of the object that manifest.json names")
    log = a_log(5)
    log.leaves.append(b"no event at all")
    code, line = last_line(of_object([2, 5], tmp_path / "two", log))
    assert (code, line[:25]) == (1, "TAMPERED  chain: entry 5 ")


def test_a_life_whose_beginning_was_dropped_says_so(tmp_path: Path) -> None:
    code, line = last_line(of_object(LIFE[3:], tmp_path / "one", minimum_index=8))
    assert (code, line) == (
        0,
        "VERIFIED IN PART  " + TOLD.format(4, 14, "; earlier ones were dropped, as the manifest says"),
    )
    code, line = last_line(of_object([*LIFE[3:6], *LIFE[7:]], tmp_path / "two", minimum_index=8))
    assert (code, line[:16]) == (1, "TAMPERED  chain:")


def test_no_event_at_all_of_an_object(tmp_path: Path) -> None:
    assert last_line(of_object([], tmp_path)) == (0, "VERIFIED IN PART  " + TOLD.format(0, 0, ""))


def test_a_manifest_cannot_turn_chosen_entries_into_a_whole_life(tmp_path: Path) -> None:
    folder = unpacked(LOG.zip_of_entries([3, 4, 9]), tmp_path)
    subject = {"type": "model_version", "id": "m4"}
    claim = {"completeness": "object", "object": subject}
    edit(folder, "manifest.json", lambda body: json.dumps({**json.loads(body), **claim}).encode())
    assert judge(folder)[0] == 1


def test_format_1_is_still_read(tmp_path: Path) -> None:
    for place, archive in enumerate((LOG.zip_of_range(), LOG.zip_of_range(7, 29), LOG.zip_of_entries([3, 9]))):
        folder = unpacked(archive, tmp_path / str(place))
        kept = (
            "format",
            "log",
            "origin",
            "size",
            "entries",
            "first_index",
            "last_index",
            "completeness",
            "disclosures",
        )

        def older(body: bytes, kept: tuple[str, ...] = kept) -> bytes:
            told = {name: value for name, value in json.loads(body).items() if name in kept}
            return json.dumps({**told, "format": "plimsoll-audit-export/1"}).encode()

        edit(folder, "manifest.json", older)
        edit(
            folder, "trust.json", lambda body: json.dumps({"origin": ORIGIN, "keys": json.loads(body)["keys"]}).encode()
        )
        assert judge(folder)[0] == 0
    edit(folder, "manifest.json", lambda body: body.replace(b"export/1", b"export/9"))
    told = "UNUSABLE  ValueError: \"this verifier does not know the format 'plimsoll-audit-export/9'\""
    assert last_line(folder) == (3, told)


# -- times against ticks -----------------------------------------------------------------------------------------------

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def at(minutes: float) -> str:
    return (NOON + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def ticking(*times: float | str) -> Log:
    """A log with ticks at 0, 60 and 120 minutes and two entries after each; `times` are those of the entries."""
    log = Log()
    for number, time in enumerate(times):
        if number % 2 == 0:
            log.tick(at(30.0 * number))
        log.append("m", time=at(time) if isinstance(time, float | int) else time)
    return log


@pytest.mark.parametrize("late", [-10, 0, 59, 70])
def test_a_time_within_the_skew_of_the_ticks_around_it(late: float, tmp_path: Path) -> None:
    code, out = judge(unpacked(ticking(late, 30, 61, 62, 121, 122).zip_of_range(), tmp_path))
    assert code == 0
    assert "ok    times lie within 0:10:00 of the 3 ticks around them" in out


@pytest.mark.parametrize("time", [-10.001, 70.001, -100_000, 1_000_000, "2025-03-01T12:30:00Z", "yesterday", None, 7])
def test_a_time_outside_is_possible_back_dating(time: float | str, tmp_path: Path) -> None:
    folder = unpacked(ticking(1, time if time != 7 else str(time), 61, 62, 121, 122).zip_of_range(), tmp_path)
    code, line = last_line(folder)
    assert code == 2
    assert line.startswith("NOT ENOUGH  entries 0–8 of 9, UNWITNESSED; time: possible back-dating: entry 2 (id ")
    assert line.endswith("): its time is not within 0:10:00 of the ticks around it")


def test_several_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    folder = unpacked(ticking(1, 2, 61, -500, -500, 122).zip_of_range(), tmp_path)
    assert "possible back-dating: entry 5 (id " in last_line(folder)[1]
    assert last_line(folder)[1].endswith("): 2 in all, its time is not within 0:10:00 of the ticks around it")


def test_the_skew_is_the_auditor_s_choice(tmp_path: Path) -> None:
    folder = unpacked(ticking(1, -15, 61, 62, 121, 122).zip_of_range(), tmp_path)
    assert judge(folder)[0] == 2
    assert judge(folder, "--skew", "899")[0] == 2
    assert judge(folder, "--skew", "900")[0] == 0
    assert judge(folder, "--skew", "many")[0] == 3
    assert judge(folder, "--skew", "9" * 30)[0] == 3


def test_before_the_first_and_after_the_last_tick_one_side_is_open(tmp_path: Path) -> None:
    log = Log()
    log.append("m", time=at(-9999))
    log.tick(at(0))
    log.append("m", time=at(9999))
    assert judge(unpacked(log.zip_of_range(), tmp_path))[0] == 0


def test_a_tick_that_goes_back_is_named(tmp_path: Path) -> None:
    log = Log()
    for minutes in (0, 60, 30, 90):
        log.tick(at(minutes))
    assert "possible back-dating: entry 2 (id " in last_line(unpacked(log.zip_of_range(), tmp_path))[1]


def test_a_tick_whose_time_is_no_time_bounds_nothing(tmp_path: Path) -> None:
    log = Log()
    log.tick("2025-02-31T00:00:00.000000Z")
    log.append("m")
    code, out = judge(unpacked(log.zip_of_range(), tmp_path))
    assert code == 0
    assert "note  no tick among these entries" in out


def test_hours_without_a_tick_are_noted(tmp_path: Path) -> None:
    log = Log()
    for minutes in (0, 60, 130, 201, 261, 400):
        log.tick(at(minutes))
    code, out = judge(unpacked(log.zip_of_range(), tmp_path))
    assert code == 0
    assert "note  2 times more than an hour without a tick, first before entry 3\n" in out


def test_times_at_the_ends_of_the_calendar(tmp_path: Path) -> None:
    log = Log()
    log.tick("0001-01-01T00:00:00.000000Z")
    log.append("m", time="0001-01-01T00:00:00.000001Z")
    log.tick("9999-12-31T23:59:59.999999Z")
    assert judge(unpacked(log.zip_of_range(), tmp_path))[0] == 0


def test_tampering_outweighs_a_time(tmp_path: Path) -> None:
    folder = unpacked(ticking(1, -5000, 61, 62, 121, 122).zip_of_range(), tmp_path)
    edit_lines(folder, "events.ndjson", lambda lines: lines.pop())
    assert last_line(folder) == (1, "TAMPERED  missing: entry 8")


# -- earlier checkpoints -----------------------------------------------------------------------------------------------


def kept(folder: Path, text: str) -> str:
    (folder / "kept").write_text(text)
    return str(folder / "kept")


def with_previous(size: int, log: Log = LOG, start: int = 0, **changes: object) -> bytes:
    proof = merkle.consistency_proof(size, len(log.leaves), log.tree.node)
    previous = bundle.Previous(size, log.checkpoint(size=size), proof)
    return log.zip_of_range(start, None, **{"previous": previous, **changes})


@pytest.mark.parametrize("size", [1, 7, 16, 35])
def test_the_checkpoint_taken_away_earlier_is_proven(size: int, tmp_path: Path) -> None:
    folder = unpacked(with_previous(size, start=9), tmp_path)
    code, out = judge(folder)
    assert code == 0
    assert f"ok    checkpoint.prev of {size} entries is the beginning of this log: since then it only grew" in out
    assert judge(folder, "--previous", kept(tmp_path, LOG.checkpoint(size=size)))[0] == 0


def test_a_consistency_proof_that_does_not_hold_is_red(tmp_path: Path) -> None:
    folder = unpacked(with_previous(20, start=9), tmp_path)
    proof = json.loads((folder / "consistency").read_bytes())
    told = "TAMPERED  consistency: checkpoint.prev of 20 entries is not the beginning of this log: "
    told += "its history was replaced"
    for place in range(len(proof["hashes"])):
        hashes = [*proof["hashes"]]
        hashes[place] = "00" * 32
        (folder / "consistency").write_text(json.dumps({**proof, "hashes": hashes}))
        assert last_line(folder) == (1, told)
    (folder / "consistency").write_text(json.dumps({**proof, "hashes": []}))
    assert last_line(folder) == (1, told)


def test_a_proof_for_other_sizes_proves_nothing(tmp_path: Path) -> None:
    folder = unpacked(with_previous(5, start=9), tmp_path)
    edit(folder, "consistency", lambda body: body.replace(b'"from": 5', b'"from": 9'))
    code, line = last_line(folder)
    assert code == 2
    assert line.endswith(
        "; consistency: nothing here proves that checkpoint.prev of 5 entries is the beginning of this log"
    )


@pytest.mark.parametrize("size", range(SIZE + 1))
def test_a_kept_checkpoint_is_rebuilt_from_the_leaves(size: int, tmp_path: Path) -> None:
    code, out = judge(unpacked(LOG.zip_of_range(), tmp_path), "--previous", kept(tmp_path, LOG.checkpoint(size=size)))
    assert code == 0
    assert (
        f"ok    the earlier checkpoint of {size} entries is the beginning of this log: since then it only grew" in out
    )


def test_a_part_of_the_log_rebuilds_the_sizes_it_covers(tmp_path: Path) -> None:
    folder = unpacked(LOG.zip_of_range(7, 29), tmp_path)
    codes = {
        size: judge(folder, "--previous", kept(tmp_path, LOG.checkpoint(size=size)))[0] for size in range(SIZE + 1)
    }
    proven = {0, 36, *range(8, 30)}
    assert {size for size, code in codes.items() if code == 0} >= proven
    assert {code for size, code in codes.items() if size not in proven} <= {0, 2}
    assert codes[3] == 2


def test_a_kept_checkpoint_of_another_history_is_red(tmp_path: Path) -> None:
    other = a_log(20)
    other.leaves[4] = b'{"id":"another"}'
    told = (
        "consistency: the earlier checkpoint of 20 entries is not the beginning of this log: its history was replaced"
    )
    folder = unpacked(LOG.zip_of_range(), tmp_path)
    assert last_line(folder, "--previous", kept(tmp_path, other.checkpoint())) == (1, f"TAMPERED  {told}")
    same_size = a_log()
    same_size.leaves[4] = b'{"id":"another"}'
    assert judge(folder, "--previous", kept(tmp_path, same_size.checkpoint()))[0] == 1
    of_nothing = KEY.sign(note.Checkpoint(ORIGIN, 0, bytes(32)).text())
    assert judge(folder, "--previous", kept(tmp_path, of_nothing))[0] == 1


def test_a_log_that_was_cut_back_is_red(tmp_path: Path) -> None:
    folder = unpacked(a_log(30).zip_of_range(), tmp_path)
    code, line = last_line(folder, "--previous", kept(tmp_path, LOG.checkpoint()))
    assert (code, line[:77]) == (
        1,
        "TAMPERED  consistency: the earlier checkpoint of 36 entries is longer than this log of 30"[:77],
    )


def test_a_kept_checkpoint_must_be_signed_and_of_this_log(tmp_path: Path) -> None:
    folder = unpacked(LOG.zip_of_range(), tmp_path)
    forger = note.SigningKey.generate(ORIGIN)
    forged = forger.sign(note.Checkpoint(ORIGIN, 20, LOG.tree.root(20)).text())
    told = "TAMPERED  signature: the earlier checkpoint is not signed by a trusted key of the log"
    assert last_line(folder, "--previous", kept(tmp_path, forged)) == (1, told)
    elsewhere = KEY.sign(note.Checkpoint("another.example.org/audit/admin", 20, LOG.tree.root(20)).text())
    assert judge(folder, "--previous", kept(tmp_path, elsewhere))[0] == 3
    assert judge(folder, "--previous", kept(tmp_path, "no checkpoint"))[0] == 3
    assert judge(folder, "--previous", str(tmp_path / "nothing"))[0] == 3
    assert judge(folder, "--previous", kept(tmp_path, "x" * 10_000_000))[0] == 3


def test_an_old_key_counts_for_the_old_checkpoint_only(tmp_path: Path) -> None:
    old = note.SigningKey(ORIGIN, bytes(32))
    keys = [
        {"key": old.verifier, "from_size": 0, "to_size": 20},
        {"key": KEY.verifier, "from_size": 21, "to_size": None},
    ]
    folder = unpacked(LOG.zip_of_range(verifier_keys=keys), tmp_path)
    by_old = old.sign(note.Checkpoint(ORIGIN, 20, LOG.tree.root(20)).text())
    assert judge(folder, "--previous", kept(tmp_path, by_old))[0] == 0
    late = old.sign(note.Checkpoint(ORIGIN, 21, LOG.tree.root(21)).text())
    assert judge(folder, "--previous", kept(tmp_path, late))[0] == 1


# -- the rest of what a bundle may ask for -----------------------------------------------------------------------------


def test_a_witness_named_by_the_bundle_counts_with_a_warning(tmp_path: Path) -> None:
    archive = LOG.zip_of_range(checkpoint_note=cosigned(1679315147, 1679315147), witnesses=[WITNESS_KEY])
    folder = unpacked(archive, tmp_path)
    code, out = judge(folder, "--require-witness")
    assert code == 0
    assert f"note  '{WITNESS_KEY}' with the fingerprint " in out
    assert judge(folder, "--key", KEY.verifier, "--require-witness")[0] == 2


def test_the_tree_alone_says_what_it_leaves_out(tmp_path: Path) -> None:
    log = Log()
    log.append("a", n=7)
    folder = unpacked(log.zip_of_range(disclosures=[{"event_id": "x", "path": "y", "disclosure": "z"}]), tmp_path)
    assert judge(folder)[0] == 1
    told = "VERIFIED IN PART  entries 0–0 of 1; chains, times, disclosures not checked, UNWITNESSED"
    assert last_line(folder, "--only-tree") == (0, told)
    edit(folder, "events.ndjson", lambda body: body.replace(b"success", b"denied", 1))
    assert judge(folder, "--only-tree")[0] == 1
