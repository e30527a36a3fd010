"""From a paper to the strings that its template prints: nothing here knows HTML, nothing there money."""

import math
from decimal import Decimal
from typing import Any

from billing.papers import annex
from billing.papers.data import InvoicePaper, Party, QuoteLine, QuotePaper, Seller, TaxSubtotal
from billing.papers.figures import Figures
from billing.papers.text import in_fours, one_line, printable

LETTER_COUNTRIES = frozenset({"US", "CA", "MX", "PH", "CL", "CO", "VE"})
# Millimetres of the line table's type: a figure, a mark between figures, a letter of a column's head.
DIGIT, POINT, HEAD_LETTER = 1.92, 1.0, 1.65
ROOMY_GAP, TIGHT_GAP, ROOM = 8.0, 3.0, 105.0  # between columns; what they may take of the line together
NARROWEST, WIDEST = 12, 44
LONG_AMOUNT = 15  # characters, from where the big amount is set smaller
LOGO = "paper:logo"
PNG = b"\x89PNG\r\n\x1a\n"
Sheet = dict[str, Any]
Pair = tuple[str, str]

# What stands in the totals for a tax that is not charged, when the paper gives no words of its own.
CATEGORY_REASONS = {
    "E": "Exempt from tax",
    "AE": "Reverse charge",
    "K": "Intra-Community supply",
    "G": "Export outside the EU",
    "O": "Not subject to VAT",
}


def figures_of(paper: InvoicePaper | QuotePaper) -> Figures:
    """The paper's formats; plain English of an American seller is American."""
    american = paper.language == "en" and paper.seller.country == "US"
    return Figures("en-US" if american else paper.language, paper.currency, paper.exponent)


def page_size(paper: InvoicePaper | QuotePaper) -> str:
    """`letter` where the seller's country prints on it, else `a4`."""
    return "letter" if paper.seller.country in LETTER_COUNTRIES else "a4"


def invoice_sheet(paper: InvoicePaper) -> Sheet:
    """Everything that `papers/invoice.html` prints."""
    figures = figures_of(paper)
    words = figures.words
    return {
        **_letterhead(paper, figures),
        "title": words[paper.kind],
        "number": one_line(paper.number),
        "status": one_line(paper.status),
        "hero": _hero(paper, figures),
        "facts": _facts(paper, figures),
        "parties": [
            _party(paper.seller, words["from"], figures, paper.seller.country),
            _party(paper.bill_to, words["bill_to"], figures, paper.seller.country),
        ],
        "table": _line_table(paper, figures),
        "totals": _totals(paper, figures),
        "reasons": _reasons(paper),
        "payment": _payment(paper, figures),
        "notes": printable(paper.notes),
        "notes_beside": _fits_beside(printable(paper.notes)),
    }


def _fits_beside(notes: str) -> bool:
    """Whether the notes are short enough for the empty space left of the totals."""
    return len(notes) <= 240 and notes.count("\n") < 4


def _letterhead(paper: InvoicePaper | QuotePaper, figures: Figures) -> Sheet:
    seller = paper.seller
    return {
        "language": str(figures.locale).replace("_", "-"),
        "words": figures.words,
        "size": page_size(paper),
        "seller_name": one_line(seller.name),
        "logo": LOGO if seller.logo and seller.logo.startswith(PNG) else "",
        "logo_tone": seller.logo_tone,
        "footer": [one_line(each) for each in printable(seller.footer).splitlines() if each.strip()],
        "imprint": _imprint(seller, figures),
        "page_of": figures.words["page_of"].replace("{page}", "\0").replace("{pages}", "\0").split("\0"),
        "meta_date": _issued(paper),
    }


def _issued(paper: InvoicePaper | QuotePaper) -> str:
    signature = getattr(paper, "signature", None)
    day = signature.signed_at.date() if signature else paper.issued_on
    return f"{day.isoformat()}T00:00:00Z"


def _imprint(seller: Seller, figures: Figures) -> list[str]:
    """The seller in one line at the foot of every page."""
    place = ", ".join(figures.address(seller, home=""))
    parts = (one_line(seller.name), place, one_line(seller.website))
    return [each for each in parts if each]


def _hero(paper: InvoicePaper, figures: Figures) -> Sheet:
    words = figures.words
    if paper.kind == "credit_note":
        return _big(words["amount_credited"], figures.money(paper.total), "")
    if paper.amount_due > 0:
        return _big(words["amount_due"], figures.money(paper.amount_due), _due_words(paper, figures))
    label = words["paid"] if paper.total > 0 else words["nothing_due"]
    return _big(label, figures.money(max(paper.total, 0)), _paid_words(paper, figures))


def _big(label: str, amount: str, note: str) -> Sheet:
    return {"label": label, "amount": amount, "note": note, "long": len(amount) >= LONG_AMOUNT}


def _due_words(paper: InvoicePaper, figures: Figures) -> str:
    if paper.due_on is None or paper.terms_days == 0:
        return figures.words["due_now"]
    return figures.words["due_by"].format(date=figures.day(paper.due_on))


def _paid_words(paper: InvoicePaper, figures: Figures) -> str:
    return figures.day(paper.settlement.paid_on) if paper.settlement.paid_on else ""


def _facts(paper: InvoicePaper, figures: Figures) -> list[Pair]:
    words = figures.words
    found = [
        (words["issued"], figures.day(paper.issued_on)),
        (words["due"], figures.day(paper.due_on) if paper.due_on and paper.amount_due > 0 else ""),
        (words["terms"], _terms(paper, figures)),
        (words["corrects"], _preceding(paper, figures)),
        (words["period"], figures.span(paper.period) if paper.period else ""),
        (words["purchase_order"], one_line(paper.purchase_order)),
        (words["buyer_reference"], one_line(paper.buyer_reference)),
        (words["customer"], one_line(paper.customer_id)),
    ]
    return [(name, value) for name, value in found if value]


def _terms(paper: InvoicePaper, figures: Figures) -> str:
    if paper.terms_days is None or paper.amount_due <= 0:
        return ""
    if paper.terms_days == 0:
        return figures.words["on_receipt"]
    return figures.words["net_days"].format(days=paper.terms_days)


def _preceding(paper: InvoicePaper, figures: Figures) -> str:
    if paper.preceding is None:
        return ""
    number = one_line(paper.preceding.number)
    if paper.preceding.issued_on is None:
        return number
    return figures.words["of_date"].format(number=number, date=figures.day(paper.preceding.issued_on))


def _party(party: Party, label: str, figures: Figures, home: str) -> Sheet:
    words = figures.words
    under = [
        f"{words['attention']} {one_line(party.contact)}" if party.contact else "",
        *figures.address(party, home if isinstance(party, Seller) else ""),
        f"{one_line(party.tax_id_scheme)} {one_line(party.tax_id)}" if party.tax_id else "",
        f"{words['registration']} {one_line(party.registration)}" if party.registration else "",
        one_line(party.email),
        one_line(party.phone),
    ]
    return {"label": label, "name": one_line(party.name), "lines": [each for each in under if each]}


def _line_table(paper: InvoicePaper, figures: Figures) -> Sheet:
    discounts = any(line.discount for line in paper.lines)
    taxed = len({(line.tax_category, line.tax_rate) for line in paper.lines}) > 1
    rows, group = [], ""
    for each in annex.printed(paper):
        group, before = each.line.group, group
        rows.append(_row(each, figures, group if group != before else ""))
    heads = {
        "quantity": figures.words["quantity"],
        "price": figures.words["unit_price"],
        "discount": figures.words["discount"],
        "tax": figures.words["tax"],
        "amount": figures.words["amount"],
    }
    return {
        "rows": rows,
        "discounts": discounts,
        "taxed": taxed,
        "span": str(4 + discounts + taxed),
        "note": _of_long_table(paper, figures),
        "widths": _widths(rows, heads),
    }


def _widths(rows: list[Sheet], heads: dict[str, str]) -> dict[str, str]:
    """The CSS class of each column of figures, wide enough for its longest entry; close if many."""
    needed = {name: _needed(head, [row[name] for row in rows]) for name, head in heads.items()}
    gap = ROOMY_GAP if sum(needed.values()) + ROOMY_GAP * len(needed) <= ROOM else TIGHT_GAP
    return {name: f"w{_even(width + gap)}" for name, width in needed.items()}


def _needed(head: str, entries: list[str]) -> float:
    """Millimetres of the longest text in a column."""
    return max(len(head) * HEAD_LETTER, *(_digits_wide(each) for each in entries), 0.0)


def _even(width: float) -> int:
    """The next even number of millimetres; the style sheet has a class for each."""
    return min(max(2 * math.ceil(width / 2), NARROWEST), WIDEST)


def _digits_wide(text: str) -> float:
    digits = sum(each.isalnum() for each in text)
    return digits * DIGIT + (len(text) - digits) * POINT


def _of_long_table(paper: InvoicePaper, figures: Figures) -> str:
    """Where to find the lines that the rows add up; "" where each has a row."""
    if not annex.is_long(paper):
        return ""
    return figures.words["long_table"].format(
        number=figures.number(Decimal(len(paper.lines))), file=annex.FILE_NAME
    )


def _row(summed: annex.Summed, figures: Figures, heading: str) -> Sheet:
    line, number = summed.line, figures.number(Decimal(summed.count))
    period = figures.span(line.period) if line.period else ""
    count = figures.words["lines"].format(number=number) if summed.count > 1 else ""
    return {
        "heading": one_line(heading),
        "description": one_line(line.description) if summed.kept else figures.words["all_lines"],
        "detail": " · ".join(each for each in (count, one_line(line.detail), period) if each),
        "quantity": figures.number(line.quantity) if summed.kept else "",
        "price": figures.price(line.unit_amount) if line.unit_amount is not None else "",
        "discount": figures.amount(-line.discount) if line.discount else "",
        "tax": figures.percent(line.tax_rate),
        "amount": figures.amount(line.net),
    }


def _totals(paper: InvoicePaper, figures: Figures) -> Sheet:
    words, money = figures.words, figures.money
    small: list[Pair] = []
    if paper.discount_total:
        small += [
            (words["subtotal"], money(paper.subtotal)),
            (words["discount"], money(-paper.discount_total)),
        ]
    if paper.tax_subtotals:
        small.append((words["net_total"], money(paper.subtotal - paper.discount_total)))
    small += [(_tax_label(each, figures), money(each.amount)) for each in paper.tax_subtotals]
    return {"small": small, "total": (words["total"], money(paper.total)), **_settled(paper, figures)}


def _settled(paper: InvoicePaper, figures: Figures) -> Sheet:
    """What was paid already, and the last row."""
    words, money = figures.words, figures.money
    credit = paper.kind == "credit_note"
    taken = (
        (words["amount_refunded" if credit else "amount_paid"], paper.amount_paid),
        (words["balance_returned" if credit else "balance_applied"], paper.balance_applied),
    )
    rows = [(name, money(-amount)) for name, amount in taken if amount]
    due = (words["amount_due"], money(paper.amount_due)) if not credit else None
    return {"settled": rows, "due": due}


def _tax_label(tax: TaxSubtotal, figures: Figures) -> str:
    name = one_line(tax.name) or figures.words["tax"]
    rate, base = figures.percent(tax.rate), figures.money(tax.taxable)
    return figures.words["tax_on"].format(name=name, rate=rate, base=base)


def reason_of(tax: TaxSubtotal) -> str:
    """Why a tax is not charged, in words; empty when it is charged."""
    return one_line(tax.reason) or CATEGORY_REASONS.get(tax.category, "")


def _reasons(paper: InvoicePaper) -> list[str]:
    return list(dict.fromkeys(text for each in paper.tax_subtotals if (text := reason_of(each))))


def _payment(paper: InvoicePaper, figures: Figures) -> Sheet:
    settlement = paper.settlement
    paid = paper.amount_due <= 0
    open_transfer = paper.kind == "invoice" and settlement.method == "transfer" and not paid
    return {
        "title": figures.words["how_to_pay" if open_transfer else "payment"],
        "sentence": printable(settlement.words) or _sentence(paper, figures),
        "account": _account(paper, figures) if open_transfer else [],
        "pay_url": one_line(settlement.pay_url) if not paid else "",
    }


def _sentence(paper: InvoicePaper, figures: Figures) -> str:
    if paper.kind == "credit_note":
        return figures.words["credit_words"]
    if paper.settlement.method == "card":
        return _card_sentence(paper, figures)
    if paper.amount_due <= 0:
        return figures.words["already_paid"]
    return _transfer_sentence(paper, figures) if paper.settlement.method == "transfer" else ""


def _card_sentence(paper: InvoicePaper, figures: Figures) -> str:
    words, card = figures.words, _card(paper, figures)
    if paper.amount_due > 0:
        key = "card_will_named" if paper.settlement.card_last4 else "card_will"
        return words[key].format(amount=figures.money(paper.amount_due), card=card)
    if paper.settlement.paid_on is None:
        return words["card_paid_undated"].format(card=card)
    return words["card_paid"].format(card=card, date=figures.day(paper.settlement.paid_on))


def _card(paper: InvoicePaper, figures: Figures) -> str:
    settlement, words = paper.settlement, figures.words
    brand = one_line(settlement.card_brand) or words["card"]
    if not settlement.card_last4:
        return brand
    return words["card_ending"].format(brand=brand, last4=one_line(settlement.card_last4))


def _transfer_sentence(paper: InvoicePaper, figures: Figures) -> str:
    amount = figures.money(paper.amount_due)
    if paper.due_on is None or paper.terms_days == 0:
        return figures.words["transfer_now"].format(amount=amount)
    return figures.words["transfer_to"].format(amount=amount, date=figures.day(paper.due_on))


def _account(paper: InvoicePaper, figures: Figures) -> list[Pair]:
    seller, words = paper.seller, figures.words
    if not (seller.iban or seller.account_number):
        return []
    found = [
        (words["beneficiary"], one_line(seller.name)),
        (words["iban"], in_fours(seller.iban)),
        (words["bic"], one_line(seller.bic)),
        (words["account_number"], one_line(seller.account_number)),
        (words["routing_number"], one_line(seller.routing_number)),
        (words["bank"], one_line(seller.bank_name)),
        (words["reference"], one_line(paper.settlement.reference) or one_line(paper.number)),
    ]
    return [(name, value) for name, value in found if value]


def quote_sheet(paper: QuotePaper) -> Sheet:
    """Everything that `papers/quote.html` prints."""
    figures = figures_of(paper)
    words = figures.words
    return {
        **_letterhead(paper, figures),
        "title": words["quote"],
        "number": one_line(paper.number),
        "version": " · ".join(
            filter(None, (words["version"].format(number=paper.version), _option(paper, figures)))
        ),
        "headline": one_line(paper.title),
        "summary": printable(paper.summary),
        "buyer": _party(paper.buyer, words["prepared_for"], figures, paper.seller.country),
        "contact": one_line(paper.contact),
        "author": _author(paper, figures),
        "facts": _quote_facts(paper, figures),
        "cards": _cards(paper, figures),
        "saving": _saving(paper, figures),
        "table": _quote_table(paper, figures),
        "totals": _quote_totals(paper, figures),
        "ramp": _ramp(paper, figures),
        "schedule": [
            {
                "day": figures.day(each.on),
                "words": one_line(each.words),
                "amount": figures.amount(each.amount),
            }
            for each in paper.schedule
        ],
        "payment_terms": printable(paper.payment_terms),
        "notes": printable(paper.notes),
        "terms": printable(paper.terms),
        **_acceptance(paper, figures),
    }


def _option(paper: QuotePaper, figures: Figures) -> str:
    """“Option B: three years”; "" where there was nothing to choose."""
    if not paper.option:
        return ""
    words = figures.words["option"].format(letter=paper.option)
    return f"{words}: {one_line(paper.option_name)}" if paper.option_name else words


def _author(paper: QuotePaper, figures: Figures) -> Sheet:
    lines = [one_line(paper.seller.name) if paper.prepared_by else "", one_line(paper.prepared_by_email)]
    name = one_line(paper.prepared_by) or one_line(paper.seller.name)
    return {"label": figures.words["prepared_by"], "name": name, "lines": [each for each in lines if each]}


def _quote_facts(paper: QuotePaper, figures: Figures) -> list[Pair]:
    words = figures.words
    found = [
        (words["date"], figures.day(paper.issued_on)),
        (words["valid_until"], figures.day(paper.expires_on)),
        (words["starts"], figures.day(paper.starts_on) if paper.starts_on else ""),
        (words["term"], _months(paper.term_months, figures) if paper.term_months else ""),
        (words["billed"], one_line(paper.billing_words)),
    ]
    return [(name, value) for name, value in found if value]


def _months(number: int, figures: Figures) -> str:
    return figures.words["month"] if number == 1 else figures.words["months"].format(number=number)


def _cards(paper: QuotePaper, figures: Figures) -> list[Pair]:
    """The figures of the deal beside its total: only those that say something."""
    words = figures.words
    found = [(words["mrr"], paper.mrr), (words["arr"], paper.arr)]
    if paper.acv != paper.arr:
        found.append((words["acv"], paper.acv))
    return [(name, figures.money(amount)) for name, amount in found if amount]


def _saving(paper: QuotePaper, figures: Figures) -> str:
    if paper.discount_total <= 0 or not paper.list_total:
        return ""
    share = (Decimal(paper.discount_total) * 100 / paper.list_total).quantize(Decimal("0.1"))
    return figures.words["you_save"].format(
        amount=figures.money(paper.discount_total), percent=figures.percent(share)
    )


def _quote_table(paper: QuotePaper, figures: Figures) -> Sheet:
    discounts = any(line.discount for line in paper.lines)
    rows = [_quote_row(line, figures) for line in paper.lines]
    heads = {
        "quantity": figures.words["quantity"],
        "price": figures.words["unit_price"],
        "list": figures.words["list_price"],
        "discount": figures.words["discount"],
        "net": figures.words["net"],
    }
    return {"rows": rows, "discounts": discounts, "widths": _widths(rows, heads)}


def _quote_row(line: QuoteLine, figures: Figures) -> Sheet:
    shown = figures.percent(-line.discount_percent) if line.discount_percent is not None else ""
    return {
        "description": one_line(line.description),
        "detail": one_line(line.detail),
        "interval": one_line(line.interval) or figures.words["once"],
        "quantity": figures.number(line.quantity),
        "price": figures.price(line.list_unit) if line.list_unit is not None else "",
        "list": figures.amount(line.list_amount),
        "discount": (shown or figures.amount(-line.discount)) if line.discount else "",
        "net": figures.amount(line.net),
    }


def _quote_totals(paper: QuotePaper, figures: Figures) -> Sheet:
    words, money = figures.words, figures.money
    small: list[Pair] = []
    if paper.discount_total:
        small.append((words["list_total"], money(paper.list_total)))
        small.append((words["discount"], money(-paper.discount_total)))
    if paper.tax_total:
        small.append((words["net_total"], money(paper.subtotal)))
        small.append((words["tax_estimate"], money(paper.tax_total)))
    label = one_line(paper.total_words) or words["total_with_tax" if paper.tax_total else "total"]
    return {
        "small": small,
        "total": (label, money(paper.subtotal + paper.tax_total)),
        "tax_words": printable(paper.tax_words),
        "hero": _big(
            words["tcv"], money(paper.tcv), words["tcv_hint" if paper.term_months else "tcv_hint_short"]
        ),
    }


def _ramp(paper: QuotePaper, figures: Figures) -> list[Sheet]:
    return [
        {
            "label": one_line(year.label),
            "span": figures.span(year.span),
            "words": one_line(year.words),
            "amount": figures.amount(year.amount),
        }
        for year in paper.ramp
    ]


def _acceptance(paper: QuotePaper, figures: Figures) -> Sheet:
    words = figures.words
    key = "signed_words" if paper.signature else "acceptance_words"
    version = ", ".join(filter(None, (str(paper.version), _option(paper, figures))))
    return {
        "acceptance": words[key].format(
            buyer=one_line(paper.buyer.name), number=one_line(paper.number), version=version
        ),
        "for_buyer": words["for_buyer"].format(name=one_line(paper.buyer.name)),
        "for_seller": words["for_buyer"].format(name=one_line(paper.seller.name)),
        "signature": _signature(paper, figures),
    }


def _signature(paper: QuotePaper, figures: Figures) -> Sheet | None:
    record, words = paper.signature, figures.words
    if record is None:
        return None
    found = [
        (words["name"], one_line(record.name)),
        (words["job_title"], one_line(record.title)),
        (words["email"], one_line(record.email)),
        (words["purchase_order"], one_line(record.po_number)),
        (words["terms_of_service"], one_line(record.terms_url)),
        (words["signed_at"], figures.moment(record.signed_at)),
        (words["address"], one_line(record.address)),
        (words["document_sha256"], one_line(record.document_sha256)),
    ]
    return {"typed": one_line(record.typed), "facts": [(name, value) for name, value in found if value]}
