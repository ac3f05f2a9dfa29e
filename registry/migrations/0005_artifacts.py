"""What is kept of an artifact beyond its digest (checks, alarms), and what a data set says of itself."""

import django.db.models.deletion
from django.db import migrations, models

import audit.clock
import audit.ids

# What was pinned before checks were known was read when it was pinned, and comes up for a check a week after that.
WATCH = """
INSERT INTO registry_artifactcheck (version_id, outcome, found, checked_at, due_at)
SELECT id, 'GOOD', '{}', artifact_pinned_at, artifact_pinned_at + interval '7 days'
FROM registry_modelversion WHERE artifact_digest <> '' AND deleted_at IS NULL;
UPDATE registry_dataset SET owner = created_by WHERE owner = '';
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_outbox")]
    operations = [
        migrations.AddField(
            model_name="dataset",
            name="classification",
            field=models.CharField(
                blank=True,
                choices=[
                    ("public", "public"),
                    ("internal", "internal"),
                    ("confidential", "confidential"),
                    ("restricted", "restricted"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="dataset",
            name="location",
            field=models.CharField(blank=True, max_length=1000),
        ),
        migrations.AddField(
            model_name="dataset",
            name="owner",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="dataset",
            name="retention",
            field=models.CharField(blank=True, max_length=40),
        ),
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("artifact", "artifact"),
                    ("predictions", "predictions"),
                    ("fairness", "fairness"),
                    ("explanation", "explanation"),
                    ("check", "check"),
                    ("data_sets", "data_sets"),
                ],
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="ArtifactCheck",
            fields=[
                (
                    "version",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="artifact_check",
                        serialize=False,
                        to="registry.modelversion",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[("GOOD", "GOOD"), ("MISMATCH", "MISMATCH"), ("INCONCLUSIVE", "INCONCLUSIVE")],
                        max_length=15,
                    ),
                ),
                ("found", models.JSONField(default=dict)),
                ("checked_at", models.DateTimeField(default=audit.clock.now)),
                ("due_at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["due_at"], name="registry_check_due")],
            },
        ),
        migrations.CreateModel(
            name="ArtifactAlarm",
            fields=[
                ("id", models.UUIDField(default=audit.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=64)),
                ("found", models.JSONField()),
                ("raised_at", models.DateTimeField(default=audit.clock.now)),
                ("cleared_at", models.DateTimeField(null=True)),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="artifact_alarms",
                        to="registry.modelversion",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("cleared_at", None)), fields=["digest"], name="registry_alarm_standing"
                    ),
                    models.Index(fields=["-raised_at", "-id"], name="registry_alarm_recent"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("cleared_at", None)),
                        fields=("version",),
                        name="registry_alarm_one_standing",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ForeignDataSet",
            fields=[
                ("id", models.UUIDField(default=audit.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=500)),
                ("mlflow_digest", models.CharField(blank=True, max_length=64)),
                ("role", models.CharField(blank=True, max_length=20)),
                ("source_type", models.CharField(blank=True, max_length=40)),
                ("said", models.JSONField(default=dict)),
                ("reason", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField(default=audit.clock.now)),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="foreign_data_sets",
                        to="registry.modelversion",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("version", "name", "mlflow_digest", "role"), name="registry_foreigndataset_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(WATCH, migrations.RunSQL.noop),
    ]
