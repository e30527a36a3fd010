"""The sums that the metrics are read from: made small, compared with what they sum, and made anew.

Triggers write them in the transaction of whatever changes them (`billing/migrations/0032_figures.py`), where views say
what they must be.
"""

import logging

from django.db import connection, transaction

log = logging.getLogger(__name__)

_KEYS = "livemode, currency, name, month, day, motion, detail"
_VALUES = "number, amount, later"
_SUMS = "sum(number), sum(amount), sum(later)"
_MINE = f"customer_id, {_KEYS}, {_VALUES}"
_OF_CUSTOMERS = (
    f"select {_MINE} from billing_growth_figures union all select {_MINE} from billing_beginning_figures"  # noqa: S608 - our own names
)

_FOLD = f"""
with gone as (
    delete from billing_figure where ({_KEYS}) in (
        select {_KEYS} from billing_figure group by {_KEYS} having count(*) > 1)
    returning {_KEYS}, {_VALUES}
)
insert into billing_figure ({_KEYS}, {_VALUES})
select {_KEYS}, {_SUMS} from gone group by {_KEYS} having ({_SUMS}) <> (0, 0, 0)
"""  # noqa: S608 - our own names
# What is kept counts once and what it must be counts back: nothing is left of what agrees.
DIFFERENCES = f"""
select name || ' of ' || day || ' in ' || currency from (
    select {_KEYS}, {_VALUES} from billing_figure
    union all select {_KEYS}, -number, -amount, -later from billing_plain_figures
    union all select {_KEYS}, -number, -amount, -later from ({_OF_CUSTOMERS}) figures
) said group by {_KEYS} having ({_SUMS}) <> (0, 0, 0)
union all
select name || ' of cus_' || replace(customer_id::text, '-', '') || ' on ' || day || ' in ' || currency from (
    select {_MINE} from billing_customerfigure
    union all select customer_id, {_KEYS}, -number, -amount, -later from ({_OF_CUSTOMERS}) figures
) said group by customer_id, {_KEYS} having ({_SUMS}) <> (0, 0, 0)
"""  # noqa: S608
_LOCK = "lock table billing_customerfigure, billing_figure in share row exclusive mode"
_REMADE = (
    f"insert into billing_customerfigure ({_MINE}) {_OF_CUSTOMERS}",
    "delete from billing_figure",
    f"insert into billing_figure ({_KEYS}, {_VALUES}) select {_KEYS}, {_VALUES} from billing_plain_figures"  # noqa: S608
    f" union all select {_KEYS}, {_SUMS} from billing_customerfigure group by {_KEYS}",
)


def fold() -> None:
    """Make one row of those that say the same thing on the same day. May run at any time, and twice at once."""
    with connection.cursor() as cursor:
        cursor.execute(_FOLD)


@transaction.atomic
def rebuild() -> None:
    """Make all of it anew. Who would change a figure waits meanwhile, who reads does not."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)
        cursor.execute("delete from billing_customerfigure")
        for sql in _REMADE:
            cursor.execute(sql)


def check() -> list[str]:
    """Nightly: which sums are not what they sum up, in words. They are made anew, and are in the log."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES)
        wrong = [words for (words,) in cursor.fetchall()]
    if wrong:
        log.error(
            "Figures did not agree with what they sum up, and were made anew: %s", ", ".join(wrong[:20])
        )
        rebuild()
    return wrong
