"""The surfaces: pages, REST, the MLflow wire. They hold no rule."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "web"
