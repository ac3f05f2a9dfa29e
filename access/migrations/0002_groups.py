"""Groups, service accounts, scopes of tokens, sessions."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]
    operations: list[migrations.operations.base.Operation] = []
