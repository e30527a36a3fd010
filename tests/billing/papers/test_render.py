"""The PDF: what is in it, what it looks like to a reader's tools, and what it never fetches."""

import http.server
import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import facturx
import pytest
from pypdf import PdfReader

from billing.papers import press as press_module
from billing.papers import render
from billing.papers.data import InvoicePaper, Paper, PaperDoesNotAddUp, Preceding
from billing.papers.en16931 import cii
from billing.papers.press import Closed, NotHandedOver
from tests.billing.papers import samples


@lru_cache
def pdf(paper: Paper) -> bytes:
    return render.pdf(paper)


def opened(paper: Paper) -> PdfReader:
    return PdfReader(io.BytesIO(pdf(paper)))


def text(paper: Paper) -> str:
    """All text, page by page, without white space: where that falls is the extractor's guess."""
    return squeezed("".join(page.extract_text() for page in opened(paper).pages))


def squeezed(words: str) -> str:
    return "".join(words.split())


def xmp(paper: Paper) -> str:
    return opened(paper).trailer["/Root"]["/Metadata"].get_data().decode()


def test_it_is_pdf_a_3_with_tags_and_a_title() -> None:
    root = opened(samples.usual_invoice()).trailer["/Root"]
    assert 'pdfaid:part="3"' in xmp(samples.usual_invoice())
    assert 'pdfaid:conformance="U"' in xmp(samples.usual_invoice())
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert root["/OutputIntents"][0]["/S"] == "/GTS_PDFA1"
    assert (
        opened(samples.usual_invoice()).metadata.title == "Invoice INV-2026-00042 – Nordlicht Software GmbH"
    )


def test_it_embeds_every_font() -> None:
    for page in opened(samples.usual_invoice()).pages:
        for font in page["/Resources"]["/Font"].values():
            (descendant,) = font.get_object()["/DescendantFonts"]
            assert "/FontFile2" in descendant.get_object()["/FontDescriptor"]
            assert "/ToUnicode" in font.get_object()


def test_it_carries_its_xml() -> None:
    paper = samples.usual_invoice()
    assert facturx.get_facturx_xml_from_pdf(pdf(paper)) == ("factur-x.xml", cii(paper))
    (file,) = opened(paper).trailer["/Root"]["/AF"]
    assert file["/AFRelationship"] == "/Alternative"
    assert file["/EF"]["/F"]["/Subtype"] == "/text/xml"


def test_it_declares_the_xml_once() -> None:
    said = xmp(samples.usual_invoice())
    assert said.count("<rdf:RDF") == said.count("</rdf:RDF>") == 1
    for each in (
        "<fx:ConformanceLevel>EN 16931<",
        "<fx:DocumentFileName>factur-x.xml<",
        "pdfaExtension:schemas",
    ):
        assert each in said


def test_it_goes_without_xml_where_the_standard_forbids_it() -> None:
    paper = samples.usual_invoice(seller=replace(samples.GERMAN_SELLER, tax_id=""))
    assert "/AF" not in opened(paper).trailer["/Root"]
    assert "fx:" not in xmp(paper)
    assert 'pdfaid:part="3"' in xmp(paper)


@pytest.mark.parametrize("paper", [samples.usual_invoice(), samples.quote()], ids=["invoice", "quote"])
def test_it_makes_the_same_bytes_again(paper: Paper) -> None:
    assert render.pdf(paper) == pdf(paper)


def test_it_makes_other_ids_for_other_papers() -> None:
    one, two = opened(samples.usual_invoice()), opened(samples.usual_invoice(number="INV-2"))
    assert one.trailer["/ID"][0] != two.trailer["/ID"][0]


def test_it_refuses_a_paper_that_does_not_add_up() -> None:
    with pytest.raises(PaperDoesNotAddUp):
        render.invoice_pdf(samples.usual_invoice(total=1))


def test_it_prints_what_is_owed_and_where_to() -> None:
    said = text(samples.usual_invoice())
    for each in (
        "Amount due €2,797.27 Due by 31 July 2026",
        "Please transfer €2,797.27 by 31 July 2026, quoting the reference.",
        "DE89 3704 0044 0532 0130 00",
        "Net 30 days",
        "4500012345",
        "VAT 19% on €2,350.64 €446.63",
        "25 seats · 1 Jun 2026 – 30 Jun 2026",
        "Page 1 of 1",
    ):
        assert squeezed(each) in said


def test_it_prints_that_a_card_paid() -> None:
    said = text(samples.paid_invoice())
    assert squeezed("Paid by Visa ending 4242 on July 1, 2026. Thank you.") in said
    assert "Accountnumber" not in said


def test_it_prints_a_credit_note() -> None:
    said = text(samples.usual_invoice(kind="credit_note", preceding=Preceding(number="INV-2026-00041")))
    assert "Creditnote" in said
    assert "CorrectsinvoiceINV-2026-00041" in said
    assert "DE89" not in said
    assert "Amountdue" not in said


def test_it_prints_why_no_tax_is_charged() -> None:
    line = samples.line(rate="0", tax_category="AE")
    assert "Reversecharge" in text(samples.invoice(line))


def test_it_speaks_german() -> None:
    said = text(samples.usual_invoice(language="de"))
    assert "Rechnung" in said
    assert squeezed("Bitte überweisen Sie 2.797,27 € bis 31. Juli 2026") in said


@pytest.mark.parametrize(("count", "pages"), [(3, 1), (40, 3)])
def test_it_breaks_pages_and_repeats_heads(count: int, pages: int) -> None:
    paper = samples.long_invoice(count)
    found = [squeezed(page.extract_text()) for page in opened(paper).pages]
    assert len(found) == pages
    for number, page in enumerate(found, 1):
        assert f"Page{number}of{pages}" in page
        assert "DescriptionQtyUnitprice" in page
    assert "Amountdue" in found[-1]
    assert f"Item{count}" in found[-1]  # the totals never stand alone


def test_how_to_pay_never_stands_alone_on_a_page() -> None:
    """Eight lines and the totals fill the first page; what follows takes the totals along."""
    first, last = (squeezed(page.extract_text()) for page in opened(samples.long_invoice(8)).pages)
    assert "Howtopay" not in first
    assert all(words in last for words in ("Item8", "Amountdue", "Howtopay"))


@pytest.mark.slow
def test_it_prints_four_hundred_lines() -> None:
    said = text(samples.long_invoice(400))
    assert all(f"Item{number}:" in said for number in range(1, 401))


def test_it_uses_letter_paper_in_america() -> None:
    assert opened(samples.paid_invoice()).pages[0].mediabox[2:] == [612, 792]
    width, height = (round(float(side)) for side in opened(samples.usual_invoice()).pages[0].mediabox[2:])
    assert (width, height) == (595, 842)


NAMES = (
    "محمد بن عبد العزيز / שלום בע״מ / 株式会社 東京 / "
    "深圳市科技有限公司 / 주식회사 서울 / Ελλάς / Чехов / Đặng"
)


def test_it_prints_names_of_every_script() -> None:
    paper = samples.invoice(
        samples.line(NAMES),
        bill_to=replace(samples.FRENCH_BUYER, name=f"\u202e{NAMES} \N{WOMAN}\u200d\N{GIRL}"),
    )
    said = text(paper)
    for each in ("株式会社", "東京", "深圳市科技有限公司", "주식회사", "Ελλάς", "Чехов", "Đặng"):
        assert said.count(each) == 2
    assert "\x00" not in said
    assert "\ufffd" not in said
    assert "\u202e" not in said
    assert "\N{WHITE SQUARE}" in said or "\N{WOMAN}" in said  # with an emoji font on the machine


def test_it_leaves_no_glyph_undefined() -> None:
    paper = samples.invoice(samples.line(f"{NAMES} \U0001f9ff \u1e9f"))
    assert b"WP-Encod-0" not in pdf(paper)  # WeasyPrint's map for glyphs that no font has


class Canary(http.server.BaseHTTPRequestHandler):
    """Counts visits."""

    hits: list[str] = []

    def do_GET(self) -> None:
        self.hits.append(self.path)
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def canary() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canary)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    Canary.hits.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def hostile(canary: str, secret: str) -> list[str]:
    return [
        f"<img src='{canary}/img'>",
        f"<link rel=attachment href='{secret}'><link rel=stylesheet href='{canary}/css'>",
        f"</style><style>@import url({canary}/import); body {{ background: url({canary}/bg) }}</style>",
        f"<svg><image href='{secret}'/></svg><object data='{secret}'></object>",
        f"<a href='{secret}'>x</a><base href='{canary}/'>",
        "{{ 7|add:7 }}{% include 'papers/quote.html' %}",
    ]


def test_it_fetches_nothing_and_prints_markup_as_text(canary: str, tmp_path: Any) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("CANARY-5512")
    words = hostile(canary, secret.as_uri())
    paper = samples.invoice(
        *(samples.line(each, detail=each) for each in words),
        bill_to=replace(samples.FRENCH_BUYER, name=words[0], line1=words[1], city=words[2]),
        seller=replace(samples.GERMAN_SELLER, name=words[3], footer=words[1], accent=f"url({canary}/accent)"),
        notes="\n".join(words),
    )
    said = text(paper)
    assert Canary.hits == []
    assert "CANARY-5512" not in said
    assert b"CANARY-5512" not in pdf(paper)
    assert "<img" in said
    assert "{{7|add:7}}" in said
    assert list(opened(paper).attachments) == ["factur-x.xml"]


def test_its_fetcher_refuses_everything_else(canary: str) -> None:
    closed = Closed({"paper:logo": b"png"})
    assert closed("paper:logo").read() == b"png"
    for url in (
        f"{canary}/",
        "file:///etc/passwd",
        "data:text/css,a",
        "paper:font/../x",
        "http://a@paper:logo",
    ):
        with pytest.raises(NotHandedOver):
            closed(url)
    assert Canary.hits == []


def test_it_prints_the_logo_in_place_of_the_name() -> None:
    paper = samples.usual_invoice(seller=replace(samples.GERMAN_SELLER, logo=png()))
    assert "/XObject" in opened(paper).pages[0]["/Resources"]
    assert [image.name for image in opened(paper).pages[0].images]


def test_it_prints_the_name_when_the_logo_is_no_png() -> None:
    paper = samples.usual_invoice(seller=replace(samples.GERMAN_SELLER, logo=b"<svg/>"))
    assert text(paper).startswith("NordlichtSoftwareGmbHInvoice")


def png() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (120, 40), "#0a5").save(out, "PNG")
    return out.getvalue()


def test_it_says_what_to_install_when_pango_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.setattr(press_module, "import_module", lambda name: broken())
    press_module.press.cache_clear()
    try:
        with pytest.raises(render.PaperToolsMissing, match="apt install libpango") as caught:
            render.invoice_pdf(samples.usual_invoice())
    finally:
        press_module.press.cache_clear()
    assert "brew install pango" in str(caught.value)
    assert "cannot load library" in str(caught.value)


def test_it_prints_a_quote() -> None:
    paper = samples.quote()
    said = text(paper)
    for each in (
        "Enterprise for Lagrange Systèmes",
        "Q-2026-0107 · Version 2",
        "Total contract value €216,387.20",
        "You save €20,476.80 (17%) on list prices",
        "Valid until 10 July 2026",
        "Year by year",
        "Schedule of invoices",
        "120 seats, onboarding",
        "For Lagrange Systèmes SAS",
    ):
        assert squeezed(each) in said
    assert "Signedelectronically" not in said


def test_it_prints_the_signature() -> None:
    said = text(samples.quote(signature=samples.SIGNATURE))
    for each in (
        "Signed electronically Claire Fontaine",
        "18 Jun 2026, 14:02:33",
        "203.0.113.24",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "PO number 4500012345",
    ):
        assert squeezed(each) in said


def test_it_renders_from_its_json_alone() -> None:
    paper = samples.usual_invoice()
    assert render.invoice_pdf(InvoicePaper.from_json(paper.to_json())) == pdf(paper)
