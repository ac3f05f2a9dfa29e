"""The access app: accounts, roles, tokens, and the one policy table, which it hands to the door at start."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # The policy reads this app's models, which exist only once the registry of apps is ready.
        from access import policy, workers  # noqa: PLC0415
        from audit import door, exporting  # noqa: PLC0415

        door.install(policy.require)
        exporting.install(workers.actor_for)
