"""The Celery application. Celery only wakes workers: what is to be done stands in ``registry_job`` rows."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")

app = Celery("plimsoll")
app.config_from_object("web.celery_settings")
app.autodiscover_tasks(["audit", "registry", "fairness", "explain", "erasure"])
