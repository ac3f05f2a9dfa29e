"""What the fairness engine refuses, each with one sentence for a person. Not how a surface shows it."""


class FairnessInputError(ValueError):
    """The request or its files cannot be turned into a report; the message says why and what to change."""


class SpecError(FairnessInputError):
    """The spec itself is wrong: no file needs to be read to see it."""


class FileError(FairnessInputError):
    """The spec is well formed, but the data set or the predictions do not fit it."""
