"""What the whole wire needs: indexes for searches and pages."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("registry", "0002_insist")]
    operations: list[migrations.operations.base.Operation] = []
