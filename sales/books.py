"""What must always hold of tasks and quotes: `manage.py check_books` asks it beside the invariants of the books."""

from billing.books import Invariant

INVARIANTS = (
    Invariant("I-27", "of a quote at most one version and option is accepted, and what was accepted has begun", """
        select number from sales_quote where state in ('accepted', 'converted') group by number having count(*) > 1
        union all select number from sales_quote where state = 'converted' and subscription_id is null"""),
    Invariant("I-39", "nobody is in two open tasks", """
        select string_agg(id::text, ' and ') from sales_handofftask where status in ('open', 'accepted')
        group by coalesce(customer_id, lead_id) having count(*) > 1"""),
)  # fmt: skip
