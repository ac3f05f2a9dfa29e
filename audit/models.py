"""The trail's tables, as the ORM reads them. They are made by hand-written SQL (migration 0001): partitions, triggers
and generated columns are beyond the ORM, and nothing here may be written through it. No foreign keys: nothing can
cascade into the trail.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Event(models.Model):
    """One recorded act: the leaf as it was signed, and copies of a few of its fields to search by."""

    id = models.UUIDField(primary_key=True)
    recorded_at = models.DateTimeField()
    log = models.TextField()
    action = models.TextField()
    outcome = models.TextField()
    object_type = models.TextField()
    object_id = models.TextField()
    object_n = models.BigIntegerField(null=True)
    actor_ref = models.TextField()
    leaf_data = models.BinaryField()
    mac = models.BinaryField()
    leaf_hash = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_event"

    def __str__(self) -> str:
        return f"{self.action} on {self.object_type} {self.object_id}"


class Leaf(models.Model):
    """The place of one event in its log."""

    event_id = models.UUIDField(primary_key=True)
    log = models.TextField()
    seq = models.BigIntegerField()
    leaf_hash = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_leaf"

    def __str__(self) -> str:
        return f"{self.log} {self.seq}"


class Tree(models.Model):
    """A committed size of a log, with its root and compact range."""

    pk = models.CompositePrimaryKey("log", "size")
    log = models.TextField()
    size = models.BigIntegerField()
    root = models.BinaryField()
    frontier = ArrayField(models.BinaryField())
    made_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "audit_tree"

    def __str__(self) -> str:
        return f"{self.log} {self.size}"


class Checkpoint(models.Model):
    """The signed note over one committed tree."""

    pk = models.CompositePrimaryKey("log", "size")
    log = models.TextField()
    size = models.BigIntegerField()
    note = models.TextField()
    made_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "audit_checkpoint"

    def __str__(self) -> str:
        return f"{self.log} {self.size}"


class LogKey(models.Model):
    """A verifier key and the size from which it signs."""

    verifier = models.TextField(primary_key=True)
    log = models.TextField()
    from_size = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "audit_log_key"

    def __str__(self) -> str:
        return self.verifier


class LogKeyEnd(models.Model):
    """The last size that a retired key signs."""

    verifier = models.TextField(primary_key=True)
    to_size = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "audit_log_key_end"

    def __str__(self) -> str:
        return self.verifier


class Cosignature(models.Model):
    """A witness's signature line under one checkpoint."""

    pk = models.CompositePrimaryKey("log", "size", "line")
    log = models.TextField()
    size = models.BigIntegerField()
    line = models.TextField()

    class Meta:
        managed = False
        db_table = "audit_cosignature"

    def __str__(self) -> str:
        return f"{self.log} {self.size}"


class AnchorReceipt(models.Model):
    """What an anchor outside this database confirmed: it holds this size and root."""

    pk = models.CompositePrimaryKey("log", "anchor", "size")
    log = models.TextField()
    anchor = models.TextField()
    kind = models.TextField()
    size = models.BigIntegerField()
    root = models.BinaryField()
    receipt = models.TextField()
    made_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "audit_anchor_receipt"

    def __str__(self) -> str:
        return f"{self.log} {self.anchor} {self.size}"


class Tile(models.Model):
    """256 hashes side by side: a full tile of the C2SP tlog-tiles format."""

    pk = models.CompositePrimaryKey("log", "level", "idx")
    log = models.TextField()
    level = models.IntegerField()
    idx = models.BigIntegerField()
    hashes = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_tile"

    def __str__(self) -> str:
        return f"{self.log} {self.level}/{self.idx}"


class Minimum(models.Model):
    """From which index on a log still holds its entries; their hashes stay from the first on."""

    pk = models.CompositePrimaryKey("log", "minimum_index")
    log = models.TextField()
    minimum_index = models.BigIntegerField()
    event_id = models.UUIDField()
    made_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "audit_minimum"

    def __str__(self) -> str:
        return f"{self.log} {self.minimum_index}"


class Head(models.Model):
    """The end of one object's chain. Kept when the events themselves are dropped."""

    pk = models.CompositePrimaryKey("object_type", "object_id")
    object_type = models.TextField()
    object_id = models.TextField()
    n = models.BigIntegerField()
    leaf_hash = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_head"

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_id} {self.n}"


class Erasing(models.Model):
    """A pseudonym whose openings are to be deleted; the row goes with them."""

    ref = models.TextField(primary_key=True)
    event_id = models.UUIDField()
    asked_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "audit_erasing"

    def __str__(self) -> str:
        return self.ref


class Export(models.Model):
    """An export made by a worker: what was asked, how far it is, and what came of it."""

    id = models.UUIDField(primary_key=True)
    account = models.TextField()
    asked_at = models.DateTimeField()
    query = models.JSONField()
    log = models.TextField()
    state = models.TextField()
    size = models.BigIntegerField()
    total = models.BigIntegerField(null=True)
    done = models.BigIntegerField(default=0)
    fence = models.IntegerField(default=0)
    attempts = models.IntegerField(default=0)
    leased_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    digest = models.TextField(null=True)
    bytes = models.BigIntegerField(null=True)
    event_id = models.UUIDField(null=True)
    error = models.TextField(default="")

    class Meta:
        managed = False
        db_table = "audit_export"

    def __str__(self) -> str:
        return f"export of {self.log} for {self.account}"


class Disclosure(models.Model):
    """The opening of one salted digest, encrypted under the key of the person it concerns. Deletable."""

    pk = models.CompositePrimaryKey("event_id", "path")
    event_id = models.UUIDField()
    path = models.TextField()
    subject_id = models.TextField()
    ciphertext = models.BinaryField()
    kid = models.TextField()
    words = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        managed = False
        db_table = "audit_disclosure"

    def __str__(self) -> str:
        return f"{self.event_id} {self.path}"


class SubjectKey(models.Model):
    """A person's data key, wrapped by a key outside the database. Deletable: without it their openings are noise."""

    subject_id = models.TextField(primary_key=True)
    wrapped_dek = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_subject_key"

    def __str__(self) -> str:
        return self.subject_id


class Pseudonym(models.Model):
    """Which account a pseudonym stands for. Deletable."""

    ref = models.TextField(primary_key=True)
    account = models.TextField(unique=True)

    class Meta:
        managed = False
        db_table = "audit_pseudonym"

    def __str__(self) -> str:
        return self.ref
