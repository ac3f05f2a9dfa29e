"""What the database insists on: decisions are never changed, evidence only loses a file that an erasure deleted."""

from django.db import migrations

INSIST = """
CREATE FUNCTION registry_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are not changed: % refused', TG_ARGV[0], TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER registry_append_only BEFORE UPDATE OR DELETE ON registry_decision
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_change('decisions');
CREATE TRIGGER registry_no_truncate BEFORE TRUNCATE ON registry_decision
    FOR EACH STATEMENT EXECUTE FUNCTION registry_refuse_change('decisions');

CREATE TRIGGER registry_immutable BEFORE UPDATE ON registry_evidence FOR EACH ROW
    WHEN (NOT (NEW.path = '' AND (to_jsonb(OLD) - 'path') = (to_jsonb(NEW) - 'path')))
    EXECUTE FUNCTION registry_refuse_change('pieces of evidence');
"""
UNDO = """
DROP TRIGGER registry_append_only ON registry_decision;
DROP TRIGGER registry_no_truncate ON registry_decision;
DROP TRIGGER registry_immutable ON registry_evidence;
DROP FUNCTION registry_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]
    operations = [migrations.RunSQL(INSIST, UNDO)]
