"""The trail grows into a log: events by log and month, retired keys, anchors' receipts, retention, erasure, exports.

Events are partitioned by log first, because each log has its own retention, and then by month of ``recorded_at``.
``audit_make_months`` makes the partitions with their triggers; the sequencer calls it, which owns no tables itself.
"""

from django.db import migrations

MONTHS = """
CREATE FUNCTION audit_guard(t regclass) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = t AND tgname = 'audit_append_only') THEN
        EXECUTE format('CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION public.audit_refuse_change()', t);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = t AND tgname = 'audit_no_truncate') THEN
        EXECUTE format('CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse_change()', t);
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER audit_append_only', t);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER audit_no_truncate', t);
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = t AND tgname = 'audit_enqueue') THEN
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER audit_enqueue', t);
    END IF;
END $$;
REVOKE ALL ON FUNCTION audit_guard(regclass) FROM PUBLIC;

-- The partitions of a month and of those after it, in both logs. A month that has begun in the default partition stays there.
CREATE FUNCTION audit_make_months(first date, months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    log text;
    month date;
    name text;
    made integer := 0;
BEGIN
    IF months NOT BETWEEN 1 AND 36 OR first NOT BETWEEN current_date - 4000 AND current_date + 400 THEN
        RAISE EXCEPTION 'audit_make_months: not a sensible period' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(1886152557, 77);
    FOREACH log IN ARRAY ARRAY['admin', 'access'] LOOP
        FOR step IN 0 .. months - 1 LOOP
            month := (date_trunc('month', first) + make_interval(months => step))::date;
            name := format('audit_event_%s_%s', log, to_char(month, 'YYYYMM'));
            CONTINUE WHEN to_regclass(format('public.%I', name)) IS NOT NULL;
            BEGIN
                EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)', name,
                    'audit_event_' || log, month::text || ' 00:00:00+00', (month + interval '1 month')::date::text || ' 00:00:00+00');
                PERFORM audit_guard(format('public.%I', name)::regclass);
                made := made + 1;
            EXCEPTION WHEN check_violation THEN
                RAISE WARNING 'the default partition already holds events of %', name;
            END;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION audit_make_months(date, integer) FROM PUBLIC;
"""

EVENTS = """
ALTER TABLE audit_event RENAME TO audit_event_before;
ALTER TABLE audit_event_default RENAME TO audit_event_before_default;
ALTER INDEX audit_event_pkey RENAME TO audit_event_before_pkey;
DROP INDEX audit_event_id, audit_event_object, audit_event_actor, audit_event_action;

CREATE TABLE audit_event (
    id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    log text NOT NULL CHECK (log IN ('admin', 'access')),
    action text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('success', 'denied', 'error')),
    object_type text NOT NULL,
    object_id text NOT NULL,
    object_n bigint CHECK (object_n >= 1),
    actor_ref text NOT NULL,
    leaf_data bytea NOT NULL CHECK (octet_length(leaf_data) <= 65535),
    mac bytea NOT NULL CHECK (octet_length(mac) = 32),
    leaf_hash bytea GENERATED ALWAYS AS (sha256('\\x00'::bytea || leaf_data)) STORED,
    PRIMARY KEY (log, recorded_at, id),
    CHECK ((log = 'admin') = (object_n IS NOT NULL))
) PARTITION BY LIST (log);
CREATE TABLE audit_event_admin PARTITION OF audit_event FOR VALUES IN ('admin') PARTITION BY RANGE (recorded_at);
CREATE TABLE audit_event_access PARTITION OF audit_event FOR VALUES IN ('access') PARTITION BY RANGE (recorded_at);
CREATE TABLE audit_event_admin_default PARTITION OF audit_event_admin DEFAULT;
CREATE TABLE audit_event_access_default PARTITION OF audit_event_access DEFAULT;
CREATE INDEX audit_event_id ON audit_event (id);
CREATE INDEX audit_event_object ON audit_event (object_type, object_id, object_n DESC);
CREATE INDEX audit_event_actor ON audit_event (actor_ref, recorded_at DESC, id DESC);
CREATE INDEX audit_event_action ON audit_event (action, recorded_at DESC, id DESC);
CREATE INDEX audit_event_refused ON audit_event (recorded_at DESC, id DESC) WHERE outcome <> 'success';

SELECT audit_guard('audit_event');
DO $$
DECLARE t regclass;
BEGIN
    FOR t IN SELECT relid FROM pg_partition_tree('audit_event') LOOP
        PERFORM audit_guard(t);
    END LOOP;
END $$;
SELECT audit_make_months(least(coalesce((SELECT min(recorded_at) FROM audit_event_before), now()), now())::date, 15);
INSERT INTO audit_event (id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data, mac)
    SELECT id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data, mac FROM audit_event_before;
DROP TABLE audit_event_before;

CREATE TRIGGER audit_enqueue AFTER INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_enqueue();
DO $$
DECLARE t regclass;
BEGIN
    FOR t IN SELECT relid FROM pg_partition_tree('audit_event') LOOP
        PERFORM audit_guard(t);
    END LOOP;
END $$;
"""

HEADS = """
-- Where each object's chain stands. Only the trigger writes it; it outlives the events that retention drops.
CREATE TABLE audit_head (
    object_type text NOT NULL,
    object_id text NOT NULL,
    n bigint NOT NULL CHECK (n >= 1),
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (object_type, object_id)
) WITH (fillfactor = 70);
INSERT INTO audit_head (object_type, object_id, n, leaf_hash)
    SELECT DISTINCT ON (object_type, object_id) object_type, object_id, object_n, leaf_hash FROM audit_event
    WHERE log = 'admin' ORDER BY object_type, object_id, object_n DESC;

CREATE OR REPLACE FUNCTION audit_enqueue() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO public.audit_pending (event_id, recorded_at, log) VALUES (NEW.id, NEW.recorded_at, NEW.log);
    IF NEW.object_n IS NOT NULL THEN
        INSERT INTO public.audit_head AS h (object_type, object_id, n, leaf_hash)
            VALUES (NEW.object_type, NEW.object_id, NEW.object_n, NEW.leaf_hash)
            ON CONFLICT (object_type, object_id) DO UPDATE SET n = NEW.object_n, leaf_hash = NEW.leaf_hash
            WHERE h.n = NEW.object_n - 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'event % of % % does not follow the one before it', NEW.object_n, NEW.object_type, NEW.object_id
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- Everything a writer must know first, in one round trip: the object's lock and the end of its chain, the actor's
-- pseudonym and key. The lock is taken before the head is read, each by a statement of its own.
CREATE FUNCTION audit_link(in_log text, in_type text, in_id text, account_id text, fallback text,
    OUT n bigint, OUT leaf bytea, OUT ref text, OUT wrapped bytea)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF in_log = 'admin' THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(in_type || '/' || in_id, 7));
        SELECT h.n, h.leaf_hash INTO n, leaf FROM public.audit_head h WHERE h.object_type = in_type AND h.object_id = in_id;
    END IF;
    IF account_id IS NULL THEN
        ref := fallback;
    ELSE
        SELECT p.ref INTO ref FROM public.audit_pseudonym p WHERE p.account = account_id;
    END IF;
    SELECT k.wrapped_dek INTO wrapped FROM public.audit_subject_key k WHERE k.subject_id = ref;
END $$;
"""

TABLES = """
CREATE TABLE audit_log_key_end (
    verifier text PRIMARY KEY REFERENCES audit_log_key (verifier),
    to_size bigint NOT NULL CHECK (to_size >= 0)
);
CREATE TABLE audit_anchor_receipt (
    log text NOT NULL,
    anchor text NOT NULL,
    kind text NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    receipt text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, anchor, size)
);
CREATE TABLE audit_minimum (
    log text NOT NULL,
    minimum_index bigint NOT NULL CHECK (minimum_index > 0),
    event_id uuid NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, minimum_index)
);
CREATE TABLE audit_erasing (
    ref text PRIMARY KEY,
    event_id uuid NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE audit_disclosure ADD COLUMN words bigint[] NOT NULL DEFAULT '{}';
CREATE INDEX audit_disclosure_words ON audit_disclosure USING gin (words);
CREATE TABLE audit_export (
    id uuid PRIMARY KEY,
    account text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    query jsonb NOT NULL,
    log text NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'gone')),
    size bigint NOT NULL CHECK (size > 0),
    total bigint CHECK (total >= 0),
    done bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    fence integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    leased_until timestamptz,
    finished_at timestamptz,
    digest text,
    bytes bigint,
    event_id uuid,
    error text NOT NULL DEFAULT ''
);
CREATE INDEX audit_export_account ON audit_export (account, asked_at DESC);
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['audit_log_key_end', 'audit_anchor_receipt', 'audit_minimum'] LOOP
        PERFORM audit_guard(t::regclass);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_state")]
    operations = [
        migrations.RunSQL(MONTHS, reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(EVENTS, reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(HEADS, reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(TABLES, reverse_sql=migrations.RunSQL.noop),
    ]
