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


class Disclosure(models.Model):
    """The opening of one salted digest, encrypted under the key of the person it concerns. Deletable."""

    pk = models.CompositePrimaryKey("event_id", "path")
    event_id = models.UUIDField()
    path = models.TextField()
    subject_id = models.TextField()
    ciphertext = models.BinaryField()
    kid = models.TextField()

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
