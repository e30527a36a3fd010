"""Which events can lead to nothing, told by one statement for any number of them.

What is counted is judged by the whole history, so of a customer's events of such a type the last stands for those before
it. Each rule has a condition here that holds wherever the rule would find something, and often where it would not: the
rules of `sales.rules` decide, this only spares them events without a chance. What a condition leaves out is weighed by
that. A test holds every condition against its rule.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from billing.maths.money import EXPONENTS
from sales import rules
from sales.rules import Setting

# `w` is the event, `c` its customer, `n` how many of its events are counted; a rule without a condition always has a
# chance. What is no number is left to the rule, which says so.
_NUMBER = "case when jsonb_typeof(w.data -> '{0}') = 'number' then (w.data ->> '{0}')::numeric end"
_AFTER, _BEFORE, _YEARLY = (_NUMBER.format(name) for name in ("mrr_after", "mrr_before", "arr_after"))
_GAIN = f"({_AFTER}) - coalesce({_BEFORE}, 0)"
_TOLD = "jsonb_typeof(w.data -> 'mrr_after') = 'string'"
_IN_APP = "exists (select from unnest(%(in_app)s::text[]) p where starts_with(w.actor, p))"
CONDITIONS = {
    "company_size": "c.employees > %(company_size)s",
    "target_domain": """exists (
        select from sales_targetdomain t, generate_series(1, cardinality(string_to_array(c.domain, '.')) - 1) k
        where t.domain = array_to_string((string_to_array(lower(c.domain), '.'))[k:], '.'))""",
    "same_domain": """c.domain <> '' and (%(same_domain)s <= 1 or exists (
        select from billing_customer o where o.domain in (c.domain, lower(c.domain)) and o.livemode = c.livemode
            and o.id < c.id))""",
    "target_profile": """exists (
        select from sales_targetprofile p
        where (p.min_employees is null or c.employees >= p.min_employees)
            and (p.max_employees is null or c.employees <= p.max_employees)
            and (p.industry = '' or lower(p.industry) = lower(btrim(c.industry))
                or p.industry || c.industry ~ '[^ -~]'))""",
    "team_of_ten": "n.added >= %(team_of_ten)s",
    "team_growing": "n.added >= %(team_growing)s",
    "enterprise_features": "n.viewed >= %(enterprise_features)s",
    "wants_annual": "n.viewed >= %(wants_annual)s",
    "upgraded_in_app": f"{_IN_APP} and ({_GAIN} > 0 or {_TOLD})",
    "large_upgrade": f"""{_IN_APP} and ({_TOLD} or {_GAIN} > 0 and (
        {_GAIN} > (select upgrade_alert_delta from billing_seller)
        or coalesce({_YEARLY}, 12 * ({_AFTER}))
            >= trunc(%(large_upgrade)s * power(10::numeric, (%(exponents)s::jsonb ->> c.currency)::int))))""",  # noqa: S608 - our own words
}

_SIFT = """
with waiting as materialized (
    select e.number, e.type, e.customer_id, e.actor, e.data,
        e.type = any(%(counted)s) and e.number < max(e.number) over (partition by e.customer_id, e.type) as stood_for
    from billing_event e
    where {which} and e.customer_id is not null
        and not exists (select from sales_weighedevent o where o.event_id = e.number)
), counted as (
    select customer_id, count(*) filter (where type = 'member.added') as added,
        count(*) filter (where type = 'feature.viewed') as viewed
    from billing_event
    where type = any(%(counted)s) and customer_id in (select customer_id from waiting where type = any(%(counted)s))
    group by 1
)
insert into sales_weighedevent (event_id, at)
select w.number, %(now)s from waiting w
join billing_customer c on c.id = w.customer_id left join counted n on n.customer_id = w.customer_id
where w.type = any(%(heard)s) and (w.stood_for or ({chance}) is not true)
on conflict do nothing
"""


def pass_over(
    *, settings: Mapping[str, Setting], now: datetime, numbers: Sequence[int] | None = None
) -> None:
    """Note events that have not been weighed (these, or all of them) as weighed where no rule that is switched on can
    find anything, or a later one of them stands for them. One statement."""
    which = "e.type = any(%(heard)s)" if numbers is None else "e.number = any(%(numbers)s::bigint[])"
    given: dict[str, Any] = {
        **{code: setting.threshold for code, setting in settings.items()},
        **{f"types_{code}": _types(code) for code in settings},
        "heard": list(rules.TRIGGERS), "counted": list(rules.COUNTED), "in_app": list(rules.IN_APP), "now": now,
        "numbers": list(numbers or ()), "exponents": orjson.dumps(EXPONENTS).decode(),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_SIFT.format(which=which, chance=_chance(settings)), given)


def _chance(settings: Collection[str]) -> str:
    asked = [f"w.type = any(%(types_{code})s) and ({CONDITIONS.get(code, 'true')})" for code in settings]
    return " or ".join(asked) or "false"


def _types(code: str) -> list[str]:
    return [type_ for type_, codes in rules.TRIGGERS.items() if code in codes]
