"""What a lab can say no with."""


class LabError(Exception):
    """A host cannot be had, or something in it failed. ``hint`` says what a person can do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
