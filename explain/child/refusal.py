"""The child's way of declining a job in one sentence. Not for defects: those keep their traceback."""


class RefusalError(Exception):
    """The model or the rows do not fit the job. `boot.py` cannot import this class and knows it by the attribute."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.refusal = sentence
