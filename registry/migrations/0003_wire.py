"""What the whole wire needs: an index for every search and order, and a stage that several versions may share when
nothing is protected.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import MD5

PRESENT = models.Q(deleted_at=None)
PROMPT = models.Q(key="mlflow.prompt.is_prompt", value="true")


def of_present(name: str, *fields: str) -> migrations.AddIndex:
    index = models.Index(fields=fields, condition=PRESENT, name=f"registry_version_{name}")
    return migrations.AddIndex("modelversion", index)


def by_prefix(name: str, field: str) -> migrations.AddIndex:
    index = models.Index(fields=[field], opclasses=["varchar_pattern_ops"], name=f"registry_version_{name}")
    return migrations.AddIndex("modelversion", index)


def without_index(model: str, field: str, to: str, related_name: str, on_delete: object) -> migrations.AlterField:
    key = models.ForeignKey(f"registry.{to}", on_delete, related_name=related_name, db_index=False)
    return migrations.AlterField(model, field, key)


CASCADE, PROTECT = django.db.models.deletion.CASCADE, django.db.models.deletion.PROTECT


class Migration(migrations.Migration):
    dependencies = [("registry", "0002_insist")]
    operations = [
        migrations.AddField("modelversion", "stage_open", models.BooleanField(default=False, db_default=False)),
        migrations.RemoveConstraint("modelversion", "registry_version_one_in_production"),
        # Unique constraints begin with these already. Taking the index off a column takes every index of that column
        # alone off, so the constraint on production comes after.
        without_index("modelversion", "model", "registeredmodel", "versions", PROTECT),
        without_index("modeltag", "model", "registeredmodel", "tags", CASCADE),
        without_index("versiontag", "version", "modelversion", "tags", CASCADE),
        without_index("alias", "model", "registeredmodel", "aliases", CASCADE),
        migrations.AddConstraint(
            "modelversion",
            models.UniqueConstraint(
                fields=["model"],
                condition=models.Q(stage="Production", stage_open=False),
                name="registry_version_one_in_production",
            ),
        ),
        migrations.AddConstraint(
            "modelversion",
            models.CheckConstraint(
                condition=models.Q(stage_open=False) | models.Q(stage="Production"), name="registry_version_open_stage"
            ),
        ),
        migrations.RemoveIndex("modelversion", "registry_version_recent"),
        of_present("recent", "-updated_at", "model", "-number"),
        of_present("newest", "-created_at", "model", "-number"),
        of_present("highest", "-number"),
        of_present("of_model", "model", "-updated_at", "-number"),
        of_present("latest", "model", "stage", "-number"),
        by_prefix("run", "run_id"),
        by_prefix("source", "source"),
        by_prefix("storage", "storage_location"),
        by_prefix("logged", "logged_model_id"),
        migrations.AddIndex("modeltag", models.Index("key", MD5("value"), "model", name="registry_modeltag_found")),
        migrations.AddIndex(
            "versiontag", models.Index("key", MD5("value"), "version", name="registry_versiontag_found")
        ),
        migrations.AddIndex(
            "modeltag", models.Index(fields=["model"], condition=PROMPT, name="registry_prompt_models")
        ),
        migrations.AddIndex(
            "versiontag", models.Index(fields=["version"], condition=PROMPT, name="registry_prompt_versions")
        ),
    ]
