"""An append costs its writer less: one question for the link, and what the event must be is asked by the trigger.

PostgreSQL reads a table's CHECK constraints from their stored text with every statement, six of them with every event;
a trigger's function is read once per connection. The trigger is ENABLE ALWAYS and belongs to the owner like the table.
"""

from django.db import migrations

LEAN = """
CREATE OR REPLACE FUNCTION audit_link(in_log text, in_type text, in_id text, account_id text, fallback text,
    OUT n bigint, OUT leaf bytea, OUT ref text, OUT wrapped bytea)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    -- The lock is taken by a statement of its own: the one after it sees what the holder before us committed.
    IF in_log = 'admin' AND pg_advisory_xact_lock(hashtextextended(in_type || '/' || in_id, 7)) IS NULL THEN
        RETURN;
    END IF;
    SELECT h.n, h.leaf_hash, p.ref, k.wrapped_dek INTO n, leaf, ref, wrapped
        FROM (VALUES (CASE WHEN account_id IS NULL THEN fallback END)) AS one (ref)
        LEFT JOIN public.audit_head h ON in_log = 'admin' AND h.object_type = in_type AND h.object_id = in_id
        LEFT JOIN public.audit_pseudonym p ON p.account = account_id
        LEFT JOIN public.audit_subject_key k ON k.subject_id = coalesce(p.ref, one.ref);
    IF account_id IS NULL THEN
        ref := fallback;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION audit_enqueue() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (NEW.log IN ('admin', 'access') AND NEW.outcome IN ('success', 'denied', 'error')
        AND octet_length(NEW.leaf_data) <= 65535 AND octet_length(NEW.mac) = 32
        AND (NEW.log = 'admin') = (NEW.object_n IS NOT NULL)) IS NOT TRUE THEN
        RAISE EXCEPTION 'event % does not have the log, outcome, length, MAC and number that an event has', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO public.audit_pending (event_id, recorded_at, log) VALUES (NEW.id, NEW.recorded_at, NEW.log);
    IF NEW.object_n IS NULL THEN
        RETURN NULL;
    ELSIF NEW.object_n = 1 THEN
        INSERT INTO public.audit_head (object_type, object_id, n, leaf_hash)
            VALUES (NEW.object_type, NEW.object_id, NEW.object_n, NEW.leaf_hash)
            ON CONFLICT (object_type, object_id) DO NOTHING;
    ELSE
        UPDATE public.audit_head h SET n = NEW.object_n, leaf_hash = NEW.leaf_hash
            WHERE h.object_type = NEW.object_type AND h.object_id = NEW.object_id AND h.n = NEW.object_n - 1;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'event % of % % does not follow the one before it', NEW.object_n, NEW.object_type, NEW.object_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT conname FROM pg_constraint WHERE conrelid = 'audit_event'::regclass AND contype = 'c' LOOP
        EXECUTE format('ALTER TABLE audit_event DROP CONSTRAINT %I', name);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_log_state")]
    operations = [migrations.RunSQL(LEAN, reverse_sql=migrations.RunSQL.noop)]
