"""Small shapes that several answers share, as DRF serializers for reading and for the schema."""

from rest_framework import serializers

from audit.errors import Invalid
from registry.states import DataRole

# The schema names this set of choices (settings: ENUM_NAME_OVERRIDES).
DATA_ROLES = [role.value for role in DataRole]


class GateSerializer(serializers.Serializer):  # type: ignore[type-arg] # a read-only shape has no instance type
    """One gate and how it came out."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment] # a field named like one of DRF's own options
    outcome = serializers.CharField()
    reason = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment] # as above
    evidence = serializers.CharField(allow_blank=True)


class DecisionSerializer(serializers.Serializer):  # type: ignore[type-arg] # see GateSerializer
    """One decision; ``counts`` says whether it holds for the present content."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    by = serializers.CharField()
    comment = serializers.CharField(allow_blank=True)
    subject_digest = serializers.CharField()
    created_at = serializers.DateTimeField()
    counts = serializers.BooleanField()


class TextField(serializers.CharField):
    """Text as a person typed it: spaces kept, NUL refused with a sentence."""

    def __init__(self, **options: object) -> None:
        super().__init__(trim_whitespace=False, **options)  # type: ignore[arg-type] # DRF types each option apart

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("This must be text.")
        if "\x00" in data:
            raise Invalid("The text holds a NUL character.", code="bad_text")
        return data
