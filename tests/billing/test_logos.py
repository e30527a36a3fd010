"""What may be a seller's logo, and what is kept of it."""

from io import BytesIO
from zlib import compress, crc32

import pytest
from PIL import Image, ImageDraw, ImageFile

from billing import logos
from billing.models import Seller
from tests.billing.admin.test_careful import sent
from tests.staff import signed_in


def picture(size=(400, 100), colour="#0a7755", ground=None, kind="PNG", box=None):
    """A coloured box on a see-through (or coloured) ground."""
    image = Image.new("RGBA", size, ground or (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle(box or (0, 0, size[0] // 2, size[1]), fill=colour)
    out = BytesIO()
    (image if kind != "JPEG" else image.convert("RGB")).save(out, kind)
    return out.getvalue()


def size_of(logo):
    return Image.open(BytesIO(logo.png)).size


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_it_keeps_a_png_of_every_kind(kind):
    logo = logos.drawn(picture(kind=kind, ground="#ffffff"))
    assert logo.png.startswith(b"\x89PNG")
    assert logo.tone == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [((4000, 400), (960, 96)), ((300, 3000), (24, 240)), ((40, 40), (40, 40))],
    ids=["wide", "tall", "small"],
)
def test_it_keeps_it_small_and_in_its_shape(given, kept):
    assert size_of(logos.drawn(picture(given, ground="#334455"))) == kept


def test_it_cuts_off_an_empty_margin():
    assert size_of(logos.drawn(picture((500, 500), box=(100, 200, 299, 239)))) == (200, 40)


@pytest.mark.parametrize(
    ("colour", "ground", "tone"),
    [
        ("#ffffff", None, "light"),
        ("#f3f3e8", None, "light"),
        ("#000000", None, "dark"),
        ("#0a7755", None, ""),
        ("#ffffff", "#0a7755", ""),
        ("#000000", "#ffffff", ""),
    ],
)
def test_it_says_on_which_ground_it_is_lost(colour, ground, tone):
    assert logos.drawn(picture(colour=colour, ground=ground)).tone == tone


def bomb():
    """A PNG of 30,000 x 30,000 pixels in 100 bytes."""

    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + crc32(name + data).to_bytes(4, "big")

    head = (30_000).to_bytes(4, "big") * 2 + b"\x08\x06\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", compress(b"")) + chunk(b"IEND", b"")


REFUSED = [
    (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "no PNG, JPEG or WebP"),
    (picture(kind="GIF"), "no PNG, JPEG or WebP"),
    (picture()[:60], "no PNG, JPEG or WebP"),
    (b"", "no PNG, JPEG or WebP"),
    (bomb(), "16 million pixels"),
    (picture((5000, 4000)), "16 million pixels"),
    (b"x" * (logos.MOST_BYTES + 1), "at most 2 MB"),
    (picture(colour=(0, 0, 0, 0)), "all of it is transparent"),
]


def test_it_refuses_what_breaks_off_whatever_else_the_process_reads(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as WeasyPrint does
    with pytest.raises(logos.InvalidLogo):
        logos.drawn(picture()[:-30])
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    ("content", "words"), REFUSED, ids=["svg", "gif", "cut", "empty", "bomb", "huge", "long", "clear"]
)
def test_it_refuses(content, words):
    with pytest.raises(logos.InvalidLogo, match=words):
        logos.drawn(content)


def test_nothing_but_pixels_is_kept():
    hidden = b"<script>alert(1)</script>"
    assert hidden not in logos.drawn(picture() + hidden).png


@pytest.mark.django_db
@pytest.mark.usefixtures("catalogue")
def test_staff_give_it_and_take_it_away():
    browser = signed_in("view_seller", "change_seller")
    where = f"/admin/billing/seller/{Seller.objects.get().pk}/change/"

    def post(**more):
        page = browser.get(where)
        typed = {
            **sent(page),
            "seen": page.context["seen"],
            "line1": "1 Quay",
            "city": "Dublin",
            "country": "IE",
        }
        return browser.post(where, {**typed, **more})

    def upload(content):
        file = BytesIO(content)
        file.name = "logo.png"
        return file

    assert "None yet" in browser.get(where).text
    refused = post(new_logo=upload(b"<svg/>"))
    assert "no PNG" in str(refused.context["adminform"].form.errors["new_logo"])
    assert post(new_logo=upload(picture(colour="#ffffff"))).status_code == 302
    seller = Seller.objects.get()
    assert (bytes(seller.logo)[:4], seller.logo_tone) == (b"\x89PNG", "light")
    assert "brand__logo--light" in browser.get(where).text
    assert post(name="Else").status_code == 302
    assert Seller.objects.get().logo_hash == seller.logo_hash
    assert post(without_logo="on").status_code == 302
    seller = Seller.objects.get()
    assert (seller.logo, seller.logo_hash, seller.logo_tone) == (None, None, "")
