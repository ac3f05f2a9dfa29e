"""What the forms of all pages share: their words for what is missing or too long, and errors of actions in their place.

Forms read what was sent and nothing more; whether it may be done is decided by the action they are handed to.
"""

from typing import Any

from django import forms
from django.http import QueryDict

from audit.errors import DomainError


class PageForm(forms.Form):
    """A form whose errors are shown once beside the field and once in the summary, without Django's own wording."""

    required_css_class = ""
    use_required_attribute = False  # the page explains what is missing; a browser's own bubble hides the rest

    def __init__(self, data: QueryDict | None = None, **options: Any) -> None:
        super().__init__(data, label_suffix="", **options)

    def refused(self, error: DomainError, field: str | None = None) -> None:
        """Show the refusal of an action: beside ``field`` when it is about one, else on top."""
        self.add_error(field, error.sentence)


class TextField(forms.CharField):
    """One line or several, with a sentence of its own when it is empty or too long."""

    def __init__(self, *, missing: str = "Fill this in.", max_length: int | None = None, **options: Any) -> None:
        messages = {
            "required": missing,
            "max_length": "This has %(show_value)d characters; at most %(limit_value)d are kept.",
            "null_characters_not_allowed": "This holds a NUL character, which cannot be stored.",
        }
        super().__init__(max_length=max_length, error_messages=messages, **options)
        if max_length is not None:
            # The server says what is too long; cutting a paste silently would lose its end.
            self.widget.attrs.pop("maxlength", None)
