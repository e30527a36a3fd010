"""How a verb says no: a named refusal, with words for people and the field they are about."""


class Refused(Exception):
    """Nothing was changed. `code` is stable and part of the API; `field` names what to correct."""

    code = "refused"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
