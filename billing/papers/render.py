"""From a paper to the bytes that are stored and sent.

The result is PDF/A-3u with tags for screen readers; an invoice carries its EN 16931 XML inside (Factur-X), so
that the same file is read by people and booked by machines. All dates and ids in it come from the paper: the
same paper, typefaces and versions give the same bytes. They are stored all the same, since versions move on.
"""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.template import Context, Engine

from billing.papers import annex, en16931
from billing.papers.data import InvoicePaper, Paper, QuotePaper
from billing.papers.press import PaperToolsMissing, Press, press
from billing.papers.sheet import LOGO, invoice_sheet, quote_sheet

__all__ = ["PaperToolsMissing", "html", "invoice_pdf", "pdf", "quote_pdf"]

TEMPLATES = Path(__file__).parents[2] / "templates"
XMP = (Path(__file__).parent / "style" / "factur-x.xmp").read_bytes()
UNKNOWN = "\N{WHITE SQUARE}"  # stands for a character that no typeface here has


def html(paper: Paper) -> str:
    """The paper as the HTML that is typeset; without style, which the press adds."""
    if isinstance(paper, InvoicePaper):
        name, sheet = "papers/invoice.html", invoice_sheet(paper)
    else:
        name, sheet = "papers/quote.html", quote_sheet(paper)
    return _engine().get_template(name).render(Context(sheet))


@lru_cache(maxsize=1)
def _engine() -> Engine:
    """Escaping templates, apart from the site's own so that a helper process needs no settings."""
    return Engine(dirs=[str(TEMPLATES)], autoescape=True)


def pdf(paper: Paper) -> bytes:
    """The PDF of either kind of paper."""
    return invoice_pdf(paper) if isinstance(paper, InvoicePaper) else quote_pdf(paper)


def invoice_pdf(paper: InvoicePaper) -> bytes:
    """An invoice or credit note as PDF/A-3 with its XML inside, unless `en16931.obstacles` forbid the XML.

    Raises `PaperDoesNotAddUp` and `PaperToolsMissing`.
    """
    paper.check()
    xml = None if en16931.obstacles(paper) else en16931.cii(paper)
    table = annex.table(paper) if annex.is_long(paper) else None
    return _typeset(paper, Enclosed(xml, table))


def quote_pdf(paper: QuotePaper) -> bytes:
    """A quote as PDF/A-3, with its signature page filled in once signed. Raises as `invoice_pdf` does."""
    paper.check()
    return _typeset(paper, Enclosed())


@dataclass(frozen=True, slots=True)
class Enclosed:
    """Files inside of the PDF: the EN 16931 XML, and the lines of a paper that prints only their sums."""

    xml: bytes | None = None
    table: bytes | None = None


def _typeset(paper: Paper, inside: Enclosed) -> bytes:
    machine, source = press(), html(paper)
    with machine.lock:
        result, missing = _print(machine, paper, source, inside)
        if missing:
            result, _ = _print(machine, paper, source.translate(dict.fromkeys(missing, UNKNOWN)), inside)
    return result


def _print(machine: Press, paper: Paper, source: str, inside: Enclosed) -> tuple[bytes, set[int]]:
    """The PDF, and the characters that no typeface had. PDF/A allows none of those, so they are replaced."""
    logo = paper.seller.logo
    document = machine.document(source, {LOGO: logo} if logo else {})
    rendered = document.render(font_config=machine.fonts, stylesheets=machine.styles(paper.seller.accent))
    rendered.metadata.attachments += _attachments(machine, paper, inside)
    missing: set[int] = set()
    result = rendered.write_pdf(
        pdf_variant="pdf/a-3u",
        pdf_tags=True,
        pdf_identifier=_identifier(paper),
        finisher=_finish(inside.xml, missing),
    )
    return result, missing


def _attachments(machine: Press, paper: Paper, inside: Enclosed) -> Iterator[Any]:
    if inside.xml is not None:
        said = "EN 16931 invoice (Factur-X)"
        yield _attachment(machine, paper, inside.xml, en16931.FILE_NAME, said, "Alternative")
    if inside.table is not None:
        yield _attachment(machine, paper, inside.table, annex.FILE_NAME, "Every line", "Supplement")


def _attachment(
    machine: Press, paper: Paper, content: bytes, name: str, description: str, relationship: str
) -> Any:
    midnight = datetime.combine(paper.issued_on, datetime.min.time())
    return machine.weasyprint.Attachment(
        string=content,
        name=name,
        description=description,
        created=midnight,
        modified=midnight,
        relationship=relationship,
        url_fetcher=document_has_no_urls,
    )


def document_has_no_urls(url: str) -> Any:
    """A fetcher for what is given as bytes."""
    raise ValueError(url)


def _identifier(paper: Paper) -> bytes:
    """The file's id: the same for the same paper, another for every other."""
    said = json.dumps(paper.to_json(), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32].encode()


def _finish(xml: bytes | None, missing: set[int]) -> Callable[[Any, Any], None]:
    def finisher(document: Any, file: Any) -> None:
        for font in document.fonts.values():
            missing.update(point for point in font.missing if _is_visible(point))
        if xml is not None:
            _declare_factur_x(file)

    return finisher


def _is_visible(point: int) -> bool:
    return point > 0x7F and unicodedata.category(chr(point)) not in ("Cf", "Zs", "Zl", "Zp")


def _declare_factur_x(file: Any) -> None:
    """Say in the file's metadata that an invoice is embedded, inside the one RDF block that PDF/A reads."""
    stream = file.objects[int(file.catalog["Metadata"].split()[0])]
    stream.stream = [b"".join(stream.stream).replace(b"</rdf:RDF>", XMP + b"</rdf:RDF>")]
    file.catalog["AF"] = type(file.catalog["AF"])(
        dict.fromkeys(file.catalog["AF"])
    )  # WeasyPrint lists it twice
