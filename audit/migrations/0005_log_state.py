
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0004_search'),
    ]

    operations = [
        migrations.CreateModel(
            name='AnchorReceipt',
            fields=[
                ('pk', models.CompositePrimaryKey('log', 'anchor', 'size', blank=True, editable=False, primary_key=True, serialize=False)),
                ('log', models.TextField()),
                ('anchor', models.TextField()),
                ('kind', models.TextField()),
                ('size', models.BigIntegerField()),
                ('root', models.BinaryField()),
                ('receipt', models.TextField()),
                ('made_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'audit_anchor_receipt',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Cosignature',
            fields=[
                ('pk', models.CompositePrimaryKey('log', 'size', 'line', blank=True, editable=False, primary_key=True, serialize=False)),
                ('log', models.TextField()),
                ('size', models.BigIntegerField()),
                ('line', models.TextField()),
            ],
            options={
                'db_table': 'audit_cosignature',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Erasing',
            fields=[
                ('ref', models.TextField(primary_key=True, serialize=False)),
                ('event_id', models.UUIDField()),
                ('asked_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'audit_erasing',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Export',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('account', models.TextField()),
                ('asked_at', models.DateTimeField()),
                ('query', models.JSONField()),
                ('log', models.TextField()),
                ('state', models.TextField()),
                ('size', models.BigIntegerField()),
                ('total', models.BigIntegerField(null=True)),
                ('done', models.BigIntegerField(default=0)),
                ('fence', models.IntegerField(default=0)),
                ('attempts', models.IntegerField(default=0)),
                ('leased_until', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('digest', models.TextField(null=True)),
                ('bytes', models.BigIntegerField(null=True)),
                ('event_id', models.UUIDField(null=True)),
                ('error', models.TextField(default='')),
            ],
            options={
                'db_table': 'audit_export',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Head',
            fields=[
                ('pk', models.CompositePrimaryKey('object_type', 'object_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('object_type', models.TextField()),
                ('object_id', models.TextField()),
                ('n', models.BigIntegerField()),
                ('leaf_hash', models.BinaryField()),
            ],
            options={
                'db_table': 'audit_head',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='LogKeyEnd',
            fields=[
                ('verifier', models.TextField(primary_key=True, serialize=False)),
                ('to_size', models.BigIntegerField()),
            ],
            options={
                'db_table': 'audit_log_key_end',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Minimum',
            fields=[
                ('pk', models.CompositePrimaryKey('log', 'minimum_index', blank=True, editable=False, primary_key=True, serialize=False)),
                ('log', models.TextField()),
                ('minimum_index', models.BigIntegerField()),
                ('event_id', models.UUIDField()),
                ('made_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'audit_minimum',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Tile',
            fields=[
                ('pk', models.CompositePrimaryKey('log', 'level', 'idx', blank=True, editable=False, primary_key=True, serialize=False)),
                ('log', models.TextField()),
                ('level', models.IntegerField()),
                ('idx', models.BigIntegerField()),
                ('hashes', models.BinaryField()),
            ],
            options={
                'db_table': 'audit_tile',
                'managed': False,
            },
        ),
    ]
