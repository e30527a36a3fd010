"""Which exceptions say that the database is away or could not do it now, and nothing of what was asked of it."""

import psycopg
from django.db import InterfaceError, InternalError, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction, TransactionTimeout

# It is gone, or somebody holds what was needed for too long; also what a lost session says later, and what the driver
# says where Django does not put it into its own words (copying, hearing what is told).
AWAY: tuple[type[Exception], ...] = (
    OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError,
)  # fmt: skip
# The driver counts these among errors inside of the database, as mistakes of ours would be: a session was ended because
# its transaction stood open for too long (its process was stopped, or waited for somebody); nothing can be written, as
# on a standby, or while somebody makes room.
NOT_NOW = (IdleInTransactionSessionTimeout, TransactionTimeout, ReadOnlySqlTransaction)


def is_away(error: BaseException | None) -> bool:
    if isinstance(error, InternalError):
        error = error.__cause__
    return isinstance(error, AWAY + NOT_NOW)
