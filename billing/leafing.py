"""A paper's lines, so many to a page: ten thousand took seconds and megabytes. What adds up is asked of all."""

from collections.abc import Iterable
from typing import Any

from django.core.paginator import Page, Paginator

from billing import reasons
from billing.models import CreditNote, Invoice, InvoiceLine
from billing.reasons import TaxRow

A_PAGE = 200
# The part of a query that names the page.
PARAM = "lines"
# What a sum of taxes reads of a line.
_TAXED = ("taxes", "tax_amount", "tax_percentage", "tax_reason", "tax_in_gross", "tax_in_discount")


def leaf(paper: Invoice | CreditNote, wanted: str | None) -> Page[Any]:
    """The lines of one page, read; the first, or the last, where there is no such page."""
    pages = Paginator(paper.lines.all(), A_PAGE)
    if isinstance(paper, Invoice):
        pages.count = paper.line_count  # its row says it, nobody has to count
    found = pages.get_page(wanted)
    found.object_list = list(found.object_list)
    return found


def taxes(invoice: Invoice, leaf: Page[InvoiceLine]) -> list[TaxRow]:
    """A row for each tax of all lines, of which `leaf` has some or all."""
    lines: Iterable[InvoiceLine] = leaf.object_list
    if leaf.paginator.num_pages > 1:
        lines = invoice.lines.only(*_TAXED).iterator(chunk_size=2000)
    return reasons.taxes(lines)
