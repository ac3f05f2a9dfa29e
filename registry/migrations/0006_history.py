"""History of stages and aliases as ranges."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("registry", "0005_artifacts")]
    operations: list[migrations.operations.base.Operation] = []
