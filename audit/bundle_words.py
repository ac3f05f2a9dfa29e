"""What a bundle says of itself in words: the README in it, and the sentences of its manifest."""

from typing import Final

AUTHORITATIVE: Final = (
    "events.ndjson together with checkpoint and its proof. events.csv, events.ocsf.ndjson and events.cloudevents.ndjson"
    " are views for reading and for other systems: not authoritative, not hashed, not checked by the verifier."
)

STATEMENTS: Final = {
    "range": "Every entry of the index range is here: with the hashes in range-proof they rebuild the signed root, so"
    " none can be missing, added, changed or moved.",
    "object": "Every entry of this object up to the signed size is here, each proven to be in the log: they are"
    " numbered without a gap and each names the hash of the one before it, so none between the first and the last can"
    " be missing. An entry that was recorded after the signed size is not covered.",
    "inclusion": "Each entry here is proven to be in the log. That no other entry matches the query is not proven.",
}

FROM_MINIMUM: Final = (
    "Entries before {minimum:,} were dropped when their time was over; the range begins there. Their hashes are still"
    " in the log and in range-proof."
)
OF_PERIOD: Final = (
    "The range was chosen to hold every entry recorded in the period asked for; an entry of another time may lie"
    " between them, because entries get their index when their transaction ends."
)
FIRST_DROPPED: Final = (
    "Its first {missing:,} entries were dropped when their time was over: the first one here is number {first:,}."
)
NOTHING_FOUND: Final = "No entry matched; nothing is proven by that."

README: Final = """How to verify this export of the audit trail

    python3 verify.py --key VERIFIER_KEY

Python 3.8 or later is enough; nothing is installed, no network is used. Get the verifier key from the operator by some
way other than this bundle, for instance a signed letter. Without --key the key in trust.json is used, which only shows
that the bundle agrees with itself. Read verify.py before you run it, or use a tool of your own: the formats are
RFC 6962 and RFC 9162 (Merkle tree), C2SP signed-note and tlog-checkpoint, RFC 8785 (JSON) and RFC 9901 (disclosures).
python3 verify.py --help names its options and exit codes.

Authoritative, and checked
  events.ndjson       the entries; one line is one leaf, its hash is SHA-256(0x00 || line without the newline)
  leaf-hashes         the hashes they were sequenced with, so that a changed entry can be named
  range-proof         the subtrees left and right of a contiguous range; other exports have proofs.ndjson instead,
                      with one inclusion proof for each entry
  checkpoint          the signed size and root of the log, with the signatures of witnesses below
  checkpoint.prev     the checkpoint the auditor named, and
  consistency         the proof that the log only grew since (both only when one was named)
  disclosures.ndjson  personal values the exporter may see; a value that was erased or withheld is only a digest
  trust.json          verifier keys of the log with the sizes for which they signed, and of witnesses

Told, not signed
  manifest.json       what was asked, by whom and when; what completeness is proven, and what is not
  anchors.json        what parties outside confirmed of this log

Views: NOT AUTHORITATIVE, made from the entries for reading and for other systems, never hashed and not checked
  events.csv                  a table; a cell that a spreadsheet would run as a formula begins with an apostrophe
  events.ocsf.ndjson          OCSF 1.3.0, class 3004 (Entity Management)
  events.cloudevents.ndjson   CloudEvents 1.0, JSON format: source is the log's origin, type org.plimsoll.audit.
                              and the action, data the entry itself, byte for byte

verify.py             the verifier
"""
