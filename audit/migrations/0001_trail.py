"""The trail's tables, triggers and rights.

Rights are the guard: the runtime role may INSERT and SELECT, nothing more. Triggers refuse UPDATE, DELETE and TRUNCATE
even to the owner and hold under session_replication_role = replica (ENABLE ALWAYS).
"""

from django.db import migrations, models
import django.contrib.postgres.fields

TABLES = """
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
    PRIMARY KEY (recorded_at, id),
    CHECK ((log = 'admin') = (object_n IS NOT NULL))
) PARTITION BY RANGE (recorded_at);
CREATE TABLE audit_event_default PARTITION OF audit_event DEFAULT;
CREATE INDEX audit_event_id ON audit_event (id);
CREATE INDEX audit_event_object ON audit_event (object_type, object_id, object_n DESC);
CREATE INDEX audit_event_actor ON audit_event (actor_ref, recorded_at DESC);
CREATE INDEX audit_event_action ON audit_event (action, recorded_at DESC);

CREATE TABLE audit_pending (
    seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    event_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    log text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

CREATE TABLE audit_quarantine (
    event_id uuid PRIMARY KEY,
    reason text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE audit_leaf (
    log text NOT NULL,
    seq bigint NOT NULL CHECK (seq >= 0),
    event_id uuid NOT NULL UNIQUE,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (log, seq)
);
CREATE TABLE audit_tile (
    log text NOT NULL,
    level integer NOT NULL,
    idx bigint NOT NULL,
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (log, level, idx)
);
ALTER TABLE audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
CREATE TABLE audit_tree (
    log text NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    frontier bytea[] NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, size)
);
CREATE TABLE audit_checkpoint (
    log text NOT NULL,
    size bigint NOT NULL,
    note text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, size)
);
CREATE TABLE audit_cosignature (
    log text NOT NULL,
    size bigint NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (log, size, line)
);
CREATE TABLE audit_log_key (
    verifier text PRIMARY KEY,
    log text NOT NULL,
    from_size bigint NOT NULL
);
CREATE TABLE audit_disclosure (
    event_id uuid NOT NULL,
    path text NOT NULL,
    subject_id text NOT NULL,
    ciphertext bytea NOT NULL,
    kid text NOT NULL,
    PRIMARY KEY (event_id, path)
);
CREATE INDEX audit_disclosure_subject ON audit_disclosure (subject_id);
CREATE TABLE audit_subject_key (
    subject_id text PRIMARY KEY,
    wrapped_dek bytea NOT NULL
);
CREATE TABLE audit_pseudonym (
    ref text PRIMARY KEY,
    account text NOT NULL UNIQUE
);
"""

TRIGGERS = """
CREATE FUNCTION audit_enqueue() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO public.audit_pending (event_id, recorded_at, log) VALUES (NEW.id, NEW.recorded_at, NEW.log);
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION audit_enqueue() FROM PUBLIC;
CREATE TRIGGER audit_enqueue AFTER INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_enqueue();

CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the trail is append-only: % on % refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['audit_event', 'audit_event_default', 'audit_leaf', 'audit_tile', 'audit_tree', 'audit_checkpoint', 'audit_cosignature', 'audit_log_key', 'audit_quarantine']
    LOOP
        IF t <> 'audit_event_default' THEN
            EXECUTE format('CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()', t);
        END IF;
        EXECUTE format('CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()', t);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_append_only', t);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_no_truncate', t);
    END LOOP;
END $$;
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_enqueue;
ALTER TABLE audit_event_default ENABLE ALWAYS TRIGGER audit_enqueue;
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.RunSQL(TABLES, reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(TRIGGERS, reverse_sql=migrations.RunSQL.noop),
    ]
