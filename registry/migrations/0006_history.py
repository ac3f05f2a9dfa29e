"""History of stages and aliases as ranges, kept by the database; what is known of runs and parents.

A version's stage and a model's aliases change in several acts and could change in SQL. So triggers on their tables
write the history: it cannot drift from what it is the history of. Who acted and why is handed over for the length of
the transaction in the setting ``plimsoll.cause`` (``registry/actions/stages.py``); without it the row says nobody.

An exclusion over equality and overlap usually takes the extension btree_gist, which neither the embedded PostgreSQL
nor every server has. GiST compares ranges out of the box, for equality too; so a key is compared as the range that
holds only it. That is exact, not a hash.
"""

import django.contrib.postgres.fields.ranges
import django.db.models.deletion
from django.db import migrations, models

import audit.clock

RANGES = """
CREATE TYPE registry_uuid_range AS RANGE (subtype = uuid);
CREATE TYPE registry_text_range AS RANGE (subtype = text, collation = "C");
ALTER TABLE registry_tenure
    ADD CONSTRAINT registry_tenure_period CHECK (
        NOT isempty(period) AND lower_inc(period) AND NOT lower_inf(period) AND NOT upper_inc(period)
    ),
    ADD CONSTRAINT registry_tenure_kind CHECK (kind IN ('stage', 'alias')),
    ADD CONSTRAINT registry_tenure_one_holder EXCLUDE USING gist (
        registry_uuid_range(model_id, model_id, '[]') WITH =,
        registry_text_range(kind || ':' || name, kind || ':' || name, '[]') WITH =,
        period WITH &&
    ) WHERE (sole),
    ADD CONSTRAINT registry_tenure_one_stage EXCLUDE USING gist (
        registry_uuid_range(version_id, version_id, '[]') WITH =,
        period WITH &&
    ) WHERE (kind = 'stage');
"""
UNDO_RANGES = "DROP TYPE registry_uuid_range CASCADE; DROP TYPE registry_text_range CASCADE;"

# What was recorded until now. Aliases had no history: those of a stage begin with it, others when this ran.
CARRY_OVER = """
INSERT INTO registry_tenure (kind, name, model_id, version_id, period, sole, by, action, grant_id, ended_by,
                             ended_action, ended_grant_id)
SELECT 'stage', held.to_stage, v.model_id, v.id, tstzrange(held.at, held.until), held.to_stage = 'Production', held.by,
       '', held.grant_id, coalesce(held.next_by, ''), '', held.next_grant
FROM (
    SELECT version_id, to_stage, at, by, grant_id,
           lead(by) OVER following AS next_by, lead(grant_id) OVER following AS next_grant,
           coalesce(lead(at) OVER following, v.deleted_at) AS until
    FROM registry_stagechange s JOIN registry_modelversion v ON v.id = s.version_id
    WINDOW following AS (PARTITION BY version_id ORDER BY at, s.id)
) held JOIN registry_modelversion v ON v.id = held.version_id
WHERE held.to_stage <> 'None' AND (held.until IS NULL OR held.until > held.at)
ORDER BY held.at;
INSERT INTO registry_tenure (kind, name, model_id, version_id, period, sole, by, action, ended_by, ended_action)
SELECT 'stage', stage, model_id, id, tstzrange(updated_at, NULL), stage = 'Production', '', '', '', ''
FROM registry_modelversion v
WHERE stage <> 'None' AND deleted_at IS NULL AND NOT EXISTS (SELECT FROM registry_stagechange WHERE version_id = v.id);
INSERT INTO registry_tenure (kind, name, model_id, version_id, period, sole, by, action, grant_id, ended_by,
                             ended_action)
SELECT 'alias', a.name, a.model_id, a.version_id, tstzrange(coalesce(lower(t.period), now()), NULL), true,
       coalesce(t.by, ''), '', t.grant_id, '', ''
FROM registry_alias a
LEFT JOIN registry_tenure t ON t.version_id = a.version_id AND upper_inf(t.period) AND t.kind = 'stage'
    AND t.name = 'Production' AND lower(a.name) IN ('champion', 'production');
"""

KEEP = """
CREATE FUNCTION registry_cause() RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('plimsoll.cause', true), ''), '{}')::jsonb
$$;

-- The instant the act gave, when it is this one; a setting left over from long ago, or made up, does not count.
CREATE FUNCTION registry_moment(cause jsonb) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN abs(extract(epoch FROM (cause->>'at')::timestamptz - clock_timestamp())) < 60
           THEN (cause->>'at')::timestamptz ELSE clock_timestamp() END
$$;

CREATE FUNCTION registry_tenure_end(_kind text, _name text, _version uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    cause jsonb := registry_cause();
BEGIN
    UPDATE registry_tenure SET
        period = tstzrange(lower(period), greatest(registry_moment(cause), lower(period) + interval '1 microsecond')),
        ended_by = coalesce(cause->>'by', ''),
        ended_action = coalesce(cause->>'action', ''),
        ended_grant_id = (cause->>'grant')::uuid
    WHERE kind = _kind AND name = _name AND version_id = _version AND upper_inf(period);
END $$;

CREATE FUNCTION registry_tenure_begin(_kind text, _name text, _model uuid, _version uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    cause jsonb := registry_cause();
    alone boolean := _kind = 'alias' OR coalesce((cause->>'sole')::boolean, _name = 'Production');
    after timestamptz;
BEGIN
    -- A clock that was set back does not make history overlap: nothing begins before what ended last.
    SELECT max(ended) INTO after FROM (
        (SELECT upper(period) AS ended FROM registry_tenure
         WHERE version_id = _version AND kind = 'stage' AND _kind = 'stage' ORDER BY id DESC LIMIT 1)
        UNION ALL
        (SELECT upper(period) FROM registry_tenure
         WHERE alone AND model_id = _model AND kind = _kind AND name = _name ORDER BY id DESC LIMIT 1)
    ) last;
    INSERT INTO registry_tenure (kind, name, model_id, version_id, period, sole, by, action, grant_id, ended_by,
                                 ended_action)
    VALUES (_kind, _name, _model, _version, tstzrange(greatest(registry_moment(cause), after), NULL), alone,
            coalesce(cause->>'by', ''), coalesce(cause->>'action', ''), (cause->>'grant')::uuid, '', '');
END $$;

CREATE FUNCTION registry_stage_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.stage <> 'None' AND OLD.deleted_at IS NULL THEN
        PERFORM registry_tenure_end('stage', OLD.stage, OLD.id);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.stage <> 'None' AND NEW.deleted_at IS NULL THEN
        PERFORM registry_tenure_begin('stage', NEW.stage, NEW.model_id, NEW.id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER registry_stage_given AFTER INSERT ON registry_modelversion FOR EACH ROW
    WHEN (NEW.stage <> 'None') EXECUTE FUNCTION registry_stage_moved();
CREATE TRIGGER registry_stage_moved AFTER UPDATE OF stage, deleted_at ON registry_modelversion FOR EACH ROW
    WHEN (OLD.stage <> NEW.stage OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL))
    EXECUTE FUNCTION registry_stage_moved();
CREATE TRIGGER registry_stage_lost AFTER DELETE ON registry_modelversion FOR EACH ROW
    WHEN (OLD.stage <> 'None') EXECUTE FUNCTION registry_stage_moved();

CREATE FUNCTION registry_alias_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM registry_tenure_end('alias', OLD.name, OLD.version_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM registry_tenure_begin('alias', NEW.name, NEW.model_id, NEW.version_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER registry_alias_set AFTER INSERT OR DELETE ON registry_alias FOR EACH ROW
    EXECUTE FUNCTION registry_alias_moved();
CREATE TRIGGER registry_alias_moved AFTER UPDATE ON registry_alias FOR EACH ROW
    WHEN ((OLD.name, OLD.model_id, OLD.version_id) IS DISTINCT FROM (NEW.name, NEW.model_id, NEW.version_id))
    EXECUTE FUNCTION registry_alias_moved();

-- History says only what is so: a row begins when its version holds the stage or alias and ends when it does not.
CREATE FUNCTION registry_tenure_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    held boolean;
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION 'the history of stages and aliases is not changed: % refused', TG_OP
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.kind = 'alias' THEN
        held := EXISTS (SELECT FROM registry_alias
                        WHERE model_id = NEW.model_id AND name = NEW.name AND version_id = NEW.version_id);
    ELSE
        held := EXISTS (SELECT FROM registry_modelversion
                        WHERE id = NEW.version_id AND model_id = NEW.model_id AND stage = NEW.name
                        AND deleted_at IS NULL);
    END IF;
    IF TG_OP = 'INSERT' AND held AND upper_inf(NEW.period) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND NOT held AND upper_inf(OLD.period) AND NOT upper_inf(NEW.period)
        AND lower(NEW.period) = lower(OLD.period)
        AND (to_jsonb(NEW) - '{period,ended_by,ended_action,ended_grant_id}'::text[])
          = (to_jsonb(OLD) - '{period,ended_by,ended_action,ended_grant_id}'::text[]) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the history of stages and aliases is not changed: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER registry_tenure_guard BEFORE INSERT OR UPDATE OR DELETE ON registry_tenure FOR EACH ROW
    EXECUTE FUNCTION registry_tenure_guard();
CREATE TRIGGER registry_tenure_no_truncate BEFORE TRUNCATE ON registry_tenure FOR EACH STATEMENT
    EXECUTE FUNCTION registry_tenure_guard();
"""
UNDO_KEEP = """
DROP TRIGGER registry_stage_given ON registry_modelversion;
DROP TRIGGER registry_stage_moved ON registry_modelversion;
DROP TRIGGER registry_stage_lost ON registry_modelversion;
DROP TRIGGER registry_alias_set ON registry_alias;
DROP TRIGGER registry_alias_moved ON registry_alias;
DROP TRIGGER registry_tenure_guard ON registry_tenure;
DROP TRIGGER registry_tenure_no_truncate ON registry_tenure;
DROP FUNCTION registry_stage_moved();
DROP FUNCTION registry_alias_moved();
DROP FUNCTION registry_tenure_guard();
DROP FUNCTION registry_tenure_begin(text, text, uuid, uuid);
DROP FUNCTION registry_tenure_end(text, text, uuid);
DROP FUNCTION registry_moment(jsonb);
DROP FUNCTION registry_cause();
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0005_artifacts")]
    operations: list[migrations.operations.base.Operation] = [
        migrations.CreateModel(
            name="Tenure",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.CharField(choices=[("stage", "stage"), ("alias", "alias")], max_length=10)),
                ("name", models.CharField(max_length=255)),
                ("period", django.contrib.postgres.fields.ranges.DateTimeRangeField()),
                ("sole", models.BooleanField()),
                ("by", models.CharField(blank=True, max_length=64)),
                ("action", models.CharField(blank=True, max_length=60)),
                ("ended_by", models.CharField(blank=True, max_length=64)),
                ("ended_action", models.CharField(blank=True, max_length=60)),
                (
                    "ended_grant",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.grant",
                    ),
                ),
                (
                    "grant",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.grant",
                    ),
                ),
                (
                    "model",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="registry.registeredmodel",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="tenures",
                        to="registry.modelversion",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["model", "-id"], name="registry_tenure_of_model"),
                    models.Index(fields=["version", "-id"], name="registry_tenure_of_version"),
                    models.Index(fields=["model", "kind", "name", "-id"], name="registry_tenure_of_name"),
                ],
            },
        ),
        migrations.CreateModel(
            name="VersionParent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("parent_name", models.CharField(max_length=256)),
                ("parent_number", models.PositiveIntegerField()),
                ("kind", models.CharField(choices=[("copy", "copy"), ("fine_tuned", "fine_tuned")], max_length=20)),
                ("created_at", models.DateTimeField(default=audit.clock.now)),
                (
                    "parent",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="offspring",
                        to="registry.modelversion",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="parents", to="registry.modelversion"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("version", "parent_name", "parent_number", "kind"), name="registry_parent_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("version", models.F("parent")), _negated=True),
                        name="registry_parent_is_other",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="VersionRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_id", models.CharField(max_length=32)),
                ("name", models.CharField(blank=True, max_length=250)),
                ("experiment", models.CharField(blank=True, max_length=64)),
                ("status", models.CharField(blank=True, max_length=20)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("commit", models.CharField(blank=True, max_length=64)),
                ("repository", models.CharField(blank=True, max_length=500)),
                ("entry_point", models.CharField(blank=True, max_length=500)),
                ("params", models.JSONField(default=dict)),
                ("data", models.JSONField(default=list)),
                ("fetched_at", models.DateTimeField(default=audit.clock.now)),
                (
                    "version",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="run_facts",
                        to="registry.modelversion",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["run_id"], name="registry_run_versions")],
            },
        ),
        migrations.RunSQL(RANGES, UNDO_RANGES),
        migrations.RunSQL(CARRY_OVER, migrations.RunSQL.noop),
        migrations.RunSQL(KEEP, UNDO_KEEP),
    ]
