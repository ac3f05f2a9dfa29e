"""Events out: webhooks, the outbox and the delivery log."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("registry", "0003_wire")]
    operations: list[migrations.operations.base.Operation] = []
