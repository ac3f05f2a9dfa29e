"""Indexes for searching a long trail.

What was refused is looked for by its kind of outcome. The words of openings come in small batches: a search reads
those that are not in the index yet one by one, so they must stay few.
"""

from django.db import migrations

INDEXES = """
DROP INDEX audit_event_refused;
CREATE INDEX audit_event_refused ON audit_event (outcome, recorded_at DESC, id DESC) WHERE outcome <> 'success';
ALTER INDEX audit_disclosure_words SET (gin_pending_list_limit = 256);
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_log")]
    operations = [migrations.RunSQL(INDEXES, reverse_sql=migrations.RunSQL.noop)]
