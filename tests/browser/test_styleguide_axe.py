"""The style guide in a real browser: no accessibility finding, no refused request, no sideways scrolling."""

import pytest

from tests.browser.looking import sound

PAGES = [
    "/styleguide/",
    *(f"/styleguide/{face}/" for face in ("pricing", "checkout", "portal", "quote")),
    "/accounts/login/",
]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1280, "dark")])
def test_it_is_open_to_everybody(open_page, settings, width, theme):
    settings.DEMO = True
    page = open_page(width=width)
    page.emulate_media(color_scheme=theme)
    for address in PAGES:
        page.goto(page.site + address)
        sound(page)
