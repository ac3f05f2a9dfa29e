"""The audit app: the door, the trail, the log."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Needs the models; a mistake in the list of anchors stops the start with a sentence.
        from audit import anchors, checks  # noqa: F401, PLC0415 - the checks register themselves

        anchors.configured()
