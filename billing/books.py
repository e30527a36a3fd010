"""The invariants as queries: each must find nothing. `manage.py check_books` runs them all.

Ids are those of the reliability catalogue. Most are also enforced by constraints and triggers; here they are asked
of the data, so that a hole in those is seen too.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.models import DecimalField, Field, ForeignKey, Model, prefetch_related_objects

from billing import chaining, figures, owing, timelines
from billing.maths import timeline
from billing.maths.pricing import PriceKind
from billing.maths.statement import key_text
from billing.models import Subscription


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule in words and a query for what breaks it."""

    id: str
    words: str
    sql: str


@dataclass(frozen=True, slots=True)
class Breach:
    """Something that must not be: which rule, and what was found."""

    id: str
    words: str
    found: str


ISSUED = "i.status <> 'draft'"
# Facts from before this time may have been removed: nothing can be asked of them.
FORGOTTEN = "coalesce((select removed_before from billing_retentionrule where kind = 'events'), '-infinity')"
# Gross and discount by the key under which they are owed or said.
type Amounts = dict[str, tuple[int, int]]

INVARIANTS = (
    Invariant("I-01", "the lines of an issued invoice add up to it", f"""
        select i.number from billing_invoice i left join (
            select invoice_id, count(*) n, sum(gross) g, sum(discount) d, sum(tax_amount) t, sum(net) net
            from billing_invoiceline group by 1) l on l.invoice_id = i.id
        where {ISSUED} and ((coalesce(l.n, 0), coalesce(l.g, 0), coalesce(l.d, 0), coalesce(l.t, 0))
            is distinct from (i.line_count::bigint, i.subtotal, i.discount_total, i.tax_total)
            or i.total <> coalesce(l.net, 0) + coalesce(l.t, 0))"""),
    Invariant("I-01b", "what is due is the total less what was paid and credited", """
        select number from billing_invoice where amount_due <> total - amount_paid - amount_credited"""),
    Invariant("I-01c", "an invoice is paid exactly when nothing is due", """
        select number from billing_invoice
        where (status = 'paid' and amount_due <> 0) or (status = 'open' and amount_due <= 0)"""),
    Invariant("I-01d", "the lines of a credit note add up to it", """
        select c.number from billing_creditnote c left join (
            select credit_note_id, sum(net) net, sum(tax_amount) t from billing_creditnoteline group by 1) l
            on l.credit_note_id = c.id
        where (coalesce(l.net, 0), coalesce(l.t, 0)) is distinct from (c.subtotal, c.tax_total)
            or c.total <> c.subtotal + c.tax_total"""),
    Invariant("I-02", "a line's tax is its rate of its net amount, rounded once for each tax, and the sum of these", f"""
        select i.number || ', line ' || l.position
        from billing_invoiceline l join billing_invoice i on i.id = l.invoice_id
        cross join lateral (select count(*) n, sum((each ->> 'amount')::bigint) a
                            from jsonb_array_elements(l.taxes) each) t
        where {ISSUED} and ((t.n > 0 and t.a <> l.tax_amount)
            -- of several the percentage is what they come to, with four decimals
            or abs(l.tax_amount - l.net * l.tax_percentage / 100)
                > greatest(t.n, 1) + case when t.n > 1 then abs(l.net) * 0.0000005 else 0 end)"""),
    Invariant("I-03", "no money is kept in floating point", """
        select table_name || '.' || column_name from information_schema.columns
        where data_type in ('real', 'double precision') and table_schema = 'public'
            and (table_name like 'billing\\_%' or table_name like 'sales\\_%' or table_name like 'checkout\\_%')"""),
    Invariant("I-04", "an invoice and what pays it are in one currency", """
        select i.number from billing_invoice i join billing_payment p on p.invoice_id = i.id
        where p.currency <> i.currency"""),
    Invariant("I-04b", "the prices on an invoice are of its currency", """
        select distinct i.number from billing_invoice i join billing_invoiceline l on l.invoice_id = i.id
        join billing_price p on p.id = l.price_id where p.currency <> i.currency"""),
    Invariant("I-05", "credit notes never exceed their invoice, and no invoice is below nothing", """
        select i.number from billing_invoice i
        left join (select invoice_id, sum(total) given from billing_creditnote group by 1) c on c.invoice_id = i.id
        where i.total < 0 or c.given > i.total"""),
    Invariant("I-06", "numbers are gapless", """
        select series_id from (
            select series_id, sequence from billing_invoice where sequence is not null
            union all select series_id, sequence from billing_creditnote) n
        group by series_id having min(sequence) <> 1 or max(sequence) <> count(*)"""),
    Invariant("I-06b", "the counter stands right after the last number", """
        select s.code from billing_numberseries s join (
            select series_id, sequence from billing_invoice where sequence is not null
            union all select series_id, sequence from billing_creditnote) n on n.series_id = s.code
        group by s.code, s.next having s.next <> coalesce(max(n.sequence), 0) + 1"""),
    Invariant("I-07", "the order of numbers is the order of issue dates", """
        select number from (
            select number, issued_on, lag(issued_on) over (partition by series_id order by sequence) before
            from billing_invoice where sequence is not null) o
        where before > issued_on"""),
    Invariant("I-07b", "and of credit notes as well", """
        select number from (
            select number, issued_on, lag(issued_on) over (partition by series_id order by sequence) before
            from billing_creditnote) o
        where before > issued_on"""),
    Invariant("I-08", "stored papers are the bytes that were stored", """
        select name from billing_document where content <> '' and encode(sha256(content), 'hex') <> sha256"""),
    Invariant("I-08b", "an issued invoice says what was told of it when it was issued", f"""
        select i.number from billing_invoice i join billing_event e
            on e.type = 'invoice.finalized' and e.object_id = 'inv_' || replace(i.id::text, '-', '')
        where {ISSUED} and (e.data ->> 'number', (e.data ->> 'total')::bigint, e.data ->> 'currency', e.data ->> 'due_on')
            is distinct from (i.number, i.total, i.currency, i.due_on::text)"""),
    Invariant("I-09", "issued invoices carry a snapshot of both parties", f"""
        select number from billing_invoice i where {ISSUED} and (seller = '{{}}' or bill_to = '{{}}')"""),
    Invariant("I-10", "one invoice for each subscription and due day", """
        select l.subscription_id::text from billing_invoice i join billing_invoiceline l on l.invoice_id = i.id
        where i.cycle_on is not null and i.status <> 'void'
        group by l.subscription_id, i.cycle_on having count(distinct i.id) > 1"""),
    Invariant("I-12", "the phases of a subscription touch without gap or overlap", """
        select subscription_id::text from (
            select subscription_id, start_on, lag(end_on) over w before, row_number() over w n
            from billing_phase where end_on is null or end_on > start_on
            window w as (partition by subscription_id order by start_on)) p
        where n > 1 and before is distinct from start_on"""),
    Invariant("I-13", "every card payment that succeeded pays an invoice", """
        select key from billing_payment where status = 'succeeded' and invoice_id is null
            and settled_at < now() - interval '1 hour'"""),
    Invariant("I-14", "an invoice's paid amount is what its payments brought, less what went to the balance", """
        select i.number from billing_invoice i
        left join (select invoice_id, sum(amount) a from billing_payment where status = 'succeeded' group by 1) p
            on p.invoice_id = i.id
        left join (select y.invoice_id, sum(b.amount) a from billing_balanceentry b
                   join billing_payment y on y.id = b.payment_id where b.amount > 0 group by 1) o on o.invoice_id = i.id
        where i.amount_paid <> coalesce(p.a, 0) - coalesce(o.a, 0)"""),
    Invariant("I-15", "an invoice has at most one attempt without an answer", """
        select invoice_id::text from billing_payment
        where status in ('new', 'sent', 'unknown', 'requires_action') and invoice_id is not null
        group by invoice_id having count(*) > 1"""),
    Invariant("I-14b", "what was refunded of a payment is the sum of its refunds", """
        select p.key from billing_payment p left join (
            select payment_id, sum(amount) a from billing_refund where status <> 'failed' group by 1) r
            on r.payment_id = p.id
        where p.amount_refunded <> coalesce(r.a, 0)"""),
    Invariant("I-17", "no attempt stays without an answer for a day", """
        select key from billing_payment p left join billing_customer c on c.id = p.customer_id
        where p.status in ('new', 'sent', 'unknown') and c.test_clock_id is null
            and p.created_at < now() - interval '24 hours'"""),
    Invariant("I-18", "every journal transaction balances", """
        select transaction::text from billing_posting group by transaction, currency having sum(amount) <> 0"""),
    Invariant("I-18b", "receivables in the journal are what open invoices still ask for", """
        select coalesce(j.currency, o.currency) from
            (select currency, livemode, sum(amount) a from billing_posting where account = 'receivable' group by 1, 2) j
            full join (select currency, livemode, sum(amount_due) a from billing_invoice
                where status in ('open', 'paid') group by 1, 2) o
            on o.currency = j.currency and o.livemode = j.livemode
        where coalesce(j.a, 0) <> coalesce(o.a, 0)"""),
    Invariant("I-18c", "customer balances in the journal are the customers' balances", """
        select coalesce(j.currency, b.currency) from
            (select currency, sum(amount) a from billing_posting where account = 'customer_balance' group by 1) j
            full join (select currency, sum(amount) a from billing_balanceentry group by 1) b on b.currency = j.currency
        where coalesce(j.a, 0) <> -coalesce(b.a, 0)"""),
    Invariant("I-18d", "cash in the journal is what card payments and transfers brought, less refunds and disputes", """
        select coalesce(j.currency, p.currency) from
            (select currency, sum(amount) a from billing_posting where account = 'cash' group by 1) j
            full join (select currency, sum(a) a from (
                select currency, amount - amount_refunded a from billing_payment
                where status = 'succeeded' and method <> 'balance' and invoice_id is not null
                union all select currency, -withdrawn from billing_dispute
                union all select fee_currency, -fee from billing_dispute
                union all select currency, -amount from billing_refund
                where payment_id is null and status <> 'failed') m group by 1) p
            on p.currency = j.currency
        where coalesce(j.a, 0) <> coalesce(p.a, 0)"""),
    Invariant("I-18e", "disputed payments in the journal are what banks hold of disputes that are not lost", """
        select coalesce(j.currency, d.currency) from
            (select currency, sum(amount) a from billing_posting where account = 'disputed_payments' group by 1) j
            full join (select currency, sum(withdrawn) a from billing_dispute where status <> 'lost' group by 1) d
            on d.currency = j.currency
        where coalesce(j.a, 0) <> coalesce(d.a, 0)"""),
    Invariant("I-18f", "refunds to be explained in the journal are those made elsewhere that nobody has explained", """
        select coalesce(j.currency, r.currency) from
            (select currency, sum(amount) a from billing_posting where account = 'refunds_elsewhere' group by 1) j
            full join (select currency, sum(amount) a from billing_refund
                where elsewhere and explained_at is null and status <> 'failed' group by 1) r on r.currency = j.currency
        where coalesce(j.a, 0) <> coalesce(r.a, 0)"""),
    Invariant("I-14c", "a payment says what became of its newest dispute", """
        select p.key from billing_payment p left join (
            select distinct on (payment_id) payment_id, status from billing_dispute
            order by payment_id, opened_at desc, id desc) d on d.payment_id = p.id
        where p.dispute_status <> coalesce(d.status, '')"""),
    Invariant("I-19", "a customer's balance is the sum of its entries", """
        select c.name from billing_customer c left join (
            select customer_id, sum(amount) a from billing_balanceentry group by 1) b on b.customer_id = c.id
        where c.balance <> coalesce(b.a, 0)"""),
    Invariant("I-19e", "an account is a part of one that is no part of another", """
        select c.name from billing_customer c join billing_customer o on o.id = c.merged_into_id
        where o.merged_into_id is not null or o.livemode <> c.livemode or o.currency <> c.currency"""),
    Invariant("I-19b", "a customer's MRR is the sum of its live subscriptions", """
        select c.name from billing_customer c left join (
            select customer_id, sum(mrr) m, sum(arr) a from billing_subscription
            where status in ('trialing', 'active', 'past_due') group by 1) s on s.customer_id = c.id
        where (c.mrr, c.arr) is distinct from (coalesce(s.m, 0)::bigint, coalesce(s.a, 0)::bigint)"""),
    Invariant("I-19c", "a subscription's MRR and ARR are the sums of their movements", """
        select s.id::text from billing_subscription s left join (
            select subscription_id, sum(mrr) m, sum(arr) a from billing_mrrmovement group by 1) v
            on v.subscription_id = s.id
        where (s.mrr, s.arr) is distinct from (coalesce(v.m, 0)::bigint, coalesce(v.a, 0)::bigint)"""),
    Invariant("I-19d", "the kept figures are what papers, phases and movements add up to", figures.DIFFERENCES),
    Invariant("I-22", "a day's usage is the sum of its events", """
        select d.id::text from billing_usageday d full join (
            select customer_id, meter_id, day, count(*) n, sum(value) v from billing_usageevent
            where voided_at is null group by 1, 2, 3) e
            on (e.customer_id, e.meter_id, e.day) = (d.customer_id, d.meter_id, d.day)
        where (coalesce(d.count, 0), coalesce(d.total, 0)) is distinct from (coalesce(e.n, 0), coalesce(e.v, 0))"""),
    Invariant("I-24", "a threshold is crossed once in its period", """
        select customer_id::text from billing_thresholdcrossing
        group by customer_id, meter_id, percent, period_start, "limit" having count(*) > 1"""),
    Invariant("I-25", "nobody has spent more credit than there was", """
        select c.name from billing_customer c left join (
            select customer_id, sum(amount) a from billing_balanceentry group by 1) b on b.customer_id = c.id
        where c.balance < 0 or b.a < 0"""),
    Invariant("I-26", "a discount is redeemed within its limit", """
        select label from billing_discount where redemptions > max_redemptions"""),
    Invariant("I-26b", "a discount that has ended does not come back by itself", """
        with members as (
            select id, 'disc_' || replace(id::text, '-', '') member from billing_discount where parts = '[]'
            union all select id, part ->> 'id' from billing_discount, jsonb_array_elements(parts) part),
        held as (
            select p.*, lag(discount_id) over (partition by subscription_id order by start_on, end_on, id) before,
                case jsonb_typeof(wishes #> '{ends,discount}') when 'string'
                    then jsonb_build_array(wishes #> '{ends,discount}') else wishes #> '{ends,discount}' end gone
            from billing_phase p),
        given as (
            select h.subscription_id, h.start_on, m.member from held h join members m on m.id = h.discount_id
            where m.member not in (select b.member from members b where b.id = h.before))
        select 'sub_' || replace(h.subscription_id::text, '-', '') || ' from ' || h.start_on || ': ' || m.member
        from held h join members m on m.id = h.discount_id
        where h.wishes #> '{ends,discount}' is not null and not h.wishes ?| array['discount', 'plan']
            and (h.gone ? m.member and not exists (
                    select 1 from given g where (g.subscription_id, g.member) = (h.subscription_id, m.member)
                        and g.start_on > (h.gone ->> m.member)::date and g.start_on < h.start_on)
                or m.member not in (select b.member from members b where b.id = h.before))"""),
    Invariant("I-28", "what was bought once is one subscription", """
        select source from billing_subscription where source is not null group by 1 having count(*) > 1"""),
    Invariant("I-29", "a quantity is a number from nothing to a thousand million", """
        select phase_id::text from billing_phaseitem where not quantity between 0 and 1000000000"""),
    Invariant("I-30", "what has ended says when", """
        select id::text from billing_subscription where (status = 'canceled') <> (ended_at is not null)"""),
    Invariant("I-32", "every issued invoice is a fact", f"""
        select i.number from billing_invoice i
        where {ISSUED} and i.status <> 'void' and i.created_at >= {FORGOTTEN} and not exists (
            select 1 from billing_event e where e.customer_id = i.customer_id and e.type = 'invoice.finalized'
                and e.object_id = 'inv_' || replace(i.id::text, '-', ''))"""),
    Invariant("I-32b", "each object's facts are numbered 1, 2, 3 …", f"""
        select object_id from billing_event group by object_id
        having max(sequence) <> count(*) + case when {FORGOTTEN} > '-infinity' then min(sequence) - 1 else 0 end"""),
    Invariant("I-32c", "every fact is owed to the endpoints that ask for it, but those about themselves", """
        select w.url || ' ' || e.number from billing_webhookendpoint w join billing_event e
            on e.livemode = w.livemode and tandem_asks_for(w.event_types, e.type)
            and e.recorded_at > greatest(w.listening_since + interval '1 minute', now() - interval '29 days')
            and e.object_id <> 'we_' || replace(w.id::text, '-', '')
        where w.disabled_at is null and not exists (
            select 1 from billing_webhookdelivery d where d.endpoint_id = w.id and d.event_id = e.number)"""),
    Invariant("I-33", "a fact is owed to an endpoint once", """
        select endpoint_id || ' ' || event_id from billing_webhookdelivery where event_id is not null
        group by endpoint_id, event_id having count(*) > 1"""),
    Invariant("I-34", "what a provider tells is noted once", """
        select provider_id from billing_providerevent group by 1 having count(*) > 1"""),
    Invariant("I-35", "a key of a request that may be repeated stands for one answer", """
        select key from billing_idempotentrequest group by api_key_id, key having count(*) > 1"""),
    Invariant("I-37", "every fact says who did it", """
        select type || ' ' || object_id from billing_event where actor = ''"""),
    Invariant("I-38", "one mail for each event, recipient and template", """
        select event from billing_mail group by event, recipient, template having count(*) > 1"""),
    Invariant("I-40", "every stored instant has a time zone", """
        select table_name || '.' || column_name from information_schema.columns
        where data_type = 'timestamp without time zone' and table_schema = 'public'
            and (table_name like 'billing\\_%' or table_name like 'sales\\_%' or table_name like 'checkout\\_%')"""),
)  # fmt: skip


# What the applications above ask of their own tables; they add it when they are ready.
ABOVE: list[Invariant] = []


def invariants() -> list[Invariant]:
    """Every one that is a query: those written above, and those that are read off the tables of all applications."""
    return [*INVARIANTS, *_of_every_table(), *ABOVE]


def check(*, most: int = 20, ending: str = "") -> list[Breach]:
    """Every breach of every invariant (at most `most` rows shown for each), as of one moment. What a subscription owes
    for its whole life is worked out for those whose ids end in the hexadecimal digit `ending` ("": all), and of the chain
    of facts the links whose numbers do."""
    with _one_moment():
        breaches = [breach for invariant in invariants() for breach in _ask(invariant, most)]
        return [*breaches, *_tampered(ending), *_unsaid(ending)]


@contextmanager
def _one_moment() -> Iterator[None]:
    """Whatever is asked meanwhile is answered as of now, though work goes on: a subscription that is changed between its
    timeline and its papers would be told as wrong. Within somebody's transaction it is that one's."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
        yield


# -- Read off the tables, so that a new column is asked about from its first day --------------------------------


def _of_every_table() -> Iterator[Invariant]:
    yield Invariant("I-03b", "every number is one (no NaN)", " union all ".join(_not_numbers()))
    yield Invariant(
        "I-36", "what refers to another row has its customer", " union all ".join(_apart("customer"))
    )
    yield Invariant("I-41", "sandbox and live rows never mix", " union all ".join(_apart("livemode")))


def _tables() -> list[type[Model]]:
    return [model for model in apps.get_models() if model._meta.app_label in ("billing", "sales", "checkout")]


def _not_numbers() -> Iterator[str]:
    for model in _tables():
        for column in model._meta.concrete_fields:
            if isinstance(column, DecimalField):
                yield _rows(model, f"""a."{column.column}" = 'NaN'""", column)


def _apart(name: str) -> Iterator[str]:
    """For each column that refers to a table which has the column `name` as well: the rows that differ in it."""
    for model in _tables():
        mine = _column(model, name)
        for reference in model._meta.concrete_fields:
            if not isinstance(reference, ForeignKey) or reference.name == name:
                continue
            other = reference.target_field.model
            theirs, key = _column(other, name), reference.target_field.column
            if mine and theirs:
                same = f'b."{key}" = a."{reference.column}" and b.{theirs} <> a.{mine}'
                yield _rows(model, f"exists (select 1 from {other._meta.db_table} b where {same})", reference)


def _rows(model: type[Model], condition: str, column: "Field[Any, Any]") -> str:
    """What is told of a row: where it is and which it is."""
    meta = model._meta
    where = f"{meta.db_table}.{column.column}"
    return f"""select '{where} ' || a."{meta.pk.column}" from {meta.db_table} a where {condition}"""


def _column(model: type[Model], name: str) -> str | None:
    return next((field.column for field in model._meta.concrete_fields if field.name == name), None)


# -- Asking -------------------------------------------------------------------------------------------------


def _ask(invariant: Invariant, most: int) -> Iterator[Breach]:
    with connection.cursor() as cursor:
        cursor.execute(invariant.sql)
        for row in cursor.fetchmany(most):
            yield Breach(invariant.id, invariant.words, str(row[0]))


def _tampered(ending: str, most: int = 20) -> Iterator[Breach]:
    """I-37: every fact says what it said when it was chained."""
    share = int(ending, 16) if ending else None
    for found in islice(chaining.differences(share=share, of=16), most):
        yield Breach("I-37b", "facts say what they said when they were chained", found)


def _unsaid(ending: str = "", batch: int = 500) -> Iterator[Breach]:
    """I-11: what every subscription owes for its whole life, up to where it was billed, is what papers said."""
    rows = Subscription.objects.filter(billed_through__isnull=False, pk__endswith=ending)
    rows = rows.select_related("customer__test_clock")
    last = None
    while page := list((rows.filter(pk__gt=last) if last else rows).order_by("pk")[:batch]):
        prefetch_related_objects(page, *timelines.PHASE_PREFETCH)
        yield from _unsaid_of(page)
        last = page[-1].pk


def _unsaid_of(page: list[Subscription]) -> Iterator[Breach]:
    billed = {row.pk: row.billed_through for row in page}
    for row in page:
        row.billed_through = row.current_period_start = None  # from the first day, not from the last paper
    facts = owing.gather(page)
    for row in page:
        until = billed[row.pk]
        assert until is not None
        wrong = _difference(row, facts, until)
        if wrong:
            yield Breach("I-11", "papers say what the timeline owes", f"{row.pk}: {', '.join(wrong)}")


def _difference(row: Subscription, facts: owing.Facts, until: date) -> list[str]:
    specs = timelines.specs_of(row)
    pure = timelines.pure(row, specs)
    owed = timeline.owed(pure, since=row.start_on, until=until, usage=facts.usage(row.customer))
    wanted = {key_text(e.key): (e.gross, e.discount) for e in owed if (e.gross, e.discount) != (0, 0)}
    said = {key: amounts for key, amounts in facts.said[row.pk].items() if amounts != (0, 0)}
    for entry in owed:
        # An event may come late until the period is settled: the next paper says what it adds.
        if (
            entry.price.kind in (PriceKind.USAGE, PriceKind.MINIMUM)
            and entry.key.period_end > until - owing.grace()
        ):
            wanted.pop(key_text(entry.key), None)
            said.pop(key_text(entry.key), None)
    wanted = _as_one_line(owed, wanted, said)
    return [
        f"{key} owed {wanted.get(key)} said {said.get(key)}"
        for key in wanted.keys() | said.keys()
        if wanted.get(key) != said.get(key)
    ]


def _as_one_line(owed: Iterable[timeline.Entry], wanted: Amounts, said: Amounts) -> Amounts:
    """What a minimum adds stood on the line of its price before it had one of its own: papers that say it so say the
    same amount."""
    found = dict(wanted)
    for key in (entry.key for entry in owed if entry.key.true_up):
        base = key_text(key._replace(kind=key.kind.removesuffix(timeline.MINIMUM)))
        if key_text(key) in found and key_text(key) not in said and base in said:
            more, plain = found.pop(key_text(key)), found.get(base, (0, 0))
            found[base] = (plain[0] + more[0], plain[1] + more[1])
    return found
