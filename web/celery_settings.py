"""Celery's settings. JSON only, no results (the job's row is the result), late acknowledgement, one task at a time."""

from django.conf import settings

broker_url = settings.CELERY_BROKER_URL
broker_connection_retry_on_startup = True
# A request never waits for a queue that is down: the job's row is there, and the sweep wakes it later.
broker_transport_options = (
    {}
    if broker_url.startswith("sqla+")
    else {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
)
accept_content = ["json"]
task_serializer = "json"
task_ignore_result = True
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
worker_hijack_root_logger = False
worker_enable_remote_control = False
worker_send_task_events = False
# A child that has loaded pandas and AIF360 is ended after a few jobs, so that an idle worker is small again.
worker_max_tasks_per_child = 8
timezone = "UTC"
beat_schedule = {
    "wake-waiting-jobs": {"task": "registry.tasks.sweep", "schedule": 15.0},
    "check-artifacts": {"task": "registry.tasks.sweep_checks", "schedule": 60.0},
    "wake-webhooks": {"task": "registry.tasks.sweep_webhooks", "schedule": 10.0},
    "read-runs": {"task": "registry.tasks.read_runs", "schedule": 15.0},
    "wake-exports": {"task": "audit.tasks.sweep", "schedule": 30.0},
    "finish-forgetting": {"task": "audit.tasks.forget", "schedule": 60.0},
    "wake-erasures": {"task": "erasure.tasks.sweep", "schedule": 60.0},
}
