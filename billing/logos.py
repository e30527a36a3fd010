"""The seller's logo: checked and drawn anew once, when it is given, so that pages, mails and papers all show the same
picture and nothing but pixels is kept of what was uploaded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from billing.models import Seller
from billing.refusals import Refused

# No SVG: it can carry scripts.
KINDS = ("PNG", "JPEG", "WEBP")
MOST_BYTES = 2**21
# Looked at before anything is unpacked: a small file can hold a picture that fills the memory.
MOST_PIXELS = 16_000_000
# What is kept: sharp at three times the size at which pages and papers show it.
KEPT = (960, 240)
# Luma of a pixel that can hardly be told from white paper, and from the ground of a page in dark colours.
ALMOST_WHITE, ALMOST_BLACK = 215, 60
# From this share of the picture on, what cannot be seen counts.
MUCH = 0.15
SEEN = 128


class InvalidLogo(Refused):
    code = "invalid_logo"


@dataclass(frozen=True, slots=True)
class Logo:
    """A PNG, and the tone of what would be lost on a ground of the same tone ("": it can be seen on any)."""

    png: bytes
    tone: str


def put_on(seller: Seller, logo: Logo | None) -> None:
    """Set the columns; None takes the logo away. The caller saves."""
    seller.logo, seller.logo_tone = (logo.png, logo.tone) if logo else (None, "")


def drawn(content: bytes) -> Logo:
    """The logo that a file holds. Raises InvalidLogo."""
    whole = _opened(content)
    picture = _trimmed(whole)
    picture.thumbnail(KEPT)
    kept = BytesIO()
    picture.save(kept, "PNG", optimize=True)
    return Logo(kept.getvalue(), _tone(whole))


def _opened(content: bytes) -> Image.Image:
    if len(content) > MOST_BYTES:
        raise InvalidLogo("The file is too large: at most 2 MB.", field="logo")
    try:
        with warnings.catch_warnings(), _all_there():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(BytesIO(content), formats=KINDS)
            if picture.width * picture.height > MOST_PIXELS:
                raise InvalidLogo("The picture is too large: at most 16 million pixels.", field="logo")
            return ImageOps.exif_transpose(picture).convert("RGBA")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InvalidLogo("The picture is too large: at most 16 million pixels.", field="logo") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InvalidLogo("This is no PNG, JPEG or WebP picture.", field="logo") from error


@contextmanager
def _all_there() -> Iterator[None]:
    """A picture that breaks off is none. WeasyPrint tells all of its process otherwise when it is imported."""
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _trimmed(picture: Image.Image) -> Image.Image:
    """Without an empty margin, which would make the logo smaller than it is."""
    box = picture.getchannel("A").getbbox()
    if box is None:
        raise InvalidLogo("Nothing can be seen in this picture: all of it is transparent.", field="logo")
    return picture.crop(box)


def _tone(picture: Image.Image) -> str:
    """What of a see-through picture is lost on white or on black, whichever is more. One without a hole brings its own
    ground."""
    alpha = picture.getchannel("A")
    if alpha.getextrema()[0] >= SEEN:  # type: ignore[operator]
        return ""
    levels = picture.convert("L").histogram(alpha.point(lambda value: 255 * (value >= SEEN)))
    seen = sum(levels) or 1
    light, dark = sum(levels[ALMOST_WHITE:]) / seen, sum(levels[:ALMOST_BLACK]) / seen
    if max(light, dark) < MUCH:
        return ""
    return "light" if light > dark else "dark"
