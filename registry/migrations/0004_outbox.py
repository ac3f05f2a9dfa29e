"""Events out: webhooks, the outbox and the delivery log."""

import audit.clock
import audit.ids
import django.contrib.postgres.fields
import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0003_wire")]

    operations = [
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('stream', models.CharField(max_length=110)),
                ('state', models.CharField(default='waiting', max_length=10)),
                ('fence', models.PositiveIntegerField(default=0)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('since', models.DateTimeField(default=audit.clock.now)),
                ('due_at', models.DateTimeField(default=audit.clock.now)),
                ('finished_at', models.DateTimeField(null=True)),
                ('error', models.CharField(blank=True, max_length=300)),
            ],
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.UUIDField(default=audit.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63)),
                ('description', models.CharField(max_length=1000, null=True)),
                ('url', models.CharField(max_length=500)),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=81), size=None)),
                ('status', models.CharField(default='ACTIVE', max_length=10)),
                ('secret', models.BinaryField(null=True)),
                ('standard', models.BooleanField(default=False)),
                ('created_by', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(default=audit.clock.now)),
                ('updated_at', models.DateTimeField(default=audit.clock.now)),
                ('deleted_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='DeliveryAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('at', models.DateTimeField()),
                ('milliseconds', models.PositiveIntegerField()),
                ('status', models.PositiveIntegerField(null=True)),
                ('error', models.CharField(blank=True, max_length=300)),
                ('response', models.TextField(blank=True)),
                ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='log', to='registry.delivery')),
            ],
        ),
        migrations.CreateModel(
            name='OutboxEvent',
            fields=[
                ('id', models.UUIDField(default=audit.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('entity', models.CharField(max_length=40)),
                ('action', models.CharField(max_length=40)),
                ('subject_type', models.CharField(max_length=40)),
                ('subject_id', models.CharField(max_length=64)),
                ('stream', models.CharField(max_length=110)),
                ('payload', models.JSONField()),
                ('recorded_at', models.DateTimeField(default=audit.clock.now)),
            ],
            options={
                'indexes': [models.Index(fields=['recorded_at'], name='registry_outbox_age'), models.Index(fields=['subject_type', 'subject_id', 'id'], name='registry_outbox_subject')],
            },
        ),
        migrations.AddField(
            model_name='delivery',
            name='event',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='registry.outboxevent'),
        ),
        migrations.CreateModel(
            name='WebhookHealth',
            fields=[
                ('webhook', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='health', serialize=False, to='registry.webhook')),
                ('failures', models.PositiveIntegerField(default=0)),
                ('failing_since', models.DateTimeField(null=True)),
                ('succeeded_at', models.DateTimeField(null=True)),
                ('quiet_until', models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddIndex(
            model_name='webhook',
            index=models.Index(condition=models.Q(('deleted_at', None)), fields=['-id'], name='registry_webhook_newest'),
        ),
        migrations.AddConstraint(
            model_name='webhook',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['ACTIVE', 'DISABLED'])), name='registry_webhook_status_known'),
        ),
        migrations.AddConstraint(
            model_name='webhook',
            constraint=models.CheckConstraint(condition=models.Q(('events', []), _negated=True), name='registry_webhook_has_events'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='webhook',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='registry.webhook'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['webhook', 'due_at'], name='registry_delivery_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['webhook', 'stream', 'event'], name='registry_delivery_order'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['finished_at'], name='registry_delivery_age'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(fields=('webhook', 'event'), name='registry_delivery_once'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'delivered', 'failed', 'cancelled'])), name='registry_delivery_state_known'),
        ),
    ]
