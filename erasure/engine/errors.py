"""The one refusal of the engine: a code for machines and a sentence for people.

A sentence never contains the value of an identifier or of a cell, because it ends up on pages, in logs and in the
trail.
"""


class EngineError(ValueError):
    """The engine will not do this; `code` says which rule, `str()` is the sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
