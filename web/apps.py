"""The surfaces: pages, REST, the MLflow wire. They hold no rule."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "web"

    def ready(self) -> None:
        # Whoever wakes a worker does it through this application: without it Celery would look for a broker of its own.
        from web import celery  # noqa: F401, PLC0415
