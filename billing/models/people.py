"""Which columns of a row tell of a person, said beside the columns themselves."""

from dataclasses import dataclass

from django.db.models import Q


@dataclass(frozen=True, slots=True)
class Told:
    """What a row says of the person whose address one of its columns holds.

    A model has `PEOPLE = {"email": Told(...)}`. `names` are what the person is called: text columns, which may be
    repeated wherever the row leads. `rest` is what else is theirs alone. Both go when the person is erased, which waits
    while a row is `needed`: (which rows, what to do about them first).
    """

    names: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    needed: tuple[Q, str] | None = None
