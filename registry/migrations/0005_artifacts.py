"""What is kept of an artifact beyond its digest: checks, signatures."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_outbox")]
    operations: list[migrations.operations.base.Operation] = []
