"""What makes a page sound, whoever opened it."""

import os
from pathlib import Path

from tests.machine import LONGEST

WIDTHS = (390, 1280)

# What a finger cannot hit on a phone: less than 44 px high, and no word inside a sentence. A label counts with its box.
TOO_SMALL = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select, summary, textarea')]
    .filter(one => {
        const box = (one.closest('label') ?? one.labels?.[0] ?? one).getBoundingClientRect()
        const own = one.getBoundingClientRect()
        const seen = one.checkVisibility({visibilityProperty: true}) && own.width > 1 && own.height > 1 && own.right > 0
        const inText = one.closest('p, dd, footer, .visually-hidden, .skip, .fakestripe, #card-element')
        return seen && !inText && Math.max(box.height, own.height) < 43.5
    })
    .map(one => `${one.tagName} ${one.innerText || one.name} ${one.className}`)"""


def watched(page):
    """The page, with what its browser complained of, whom it asked and which scripts it loaded."""
    page.complaints, page.hosts, page.scripts = [], set(), set()
    page.set_default_timeout(LONGEST)
    page.on("console", lambda m: m.type in ("error", "warning") and page.complaints.append(m.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda r: page.hosts.add(r.url.split("/")[2]))
    page.on("request", lambda r: r.resource_type == "script" and page.scripts.add(r.url.split("?")[0]))
    return page


def sound(page, name=""):
    """No complaint of the browser, no finding of axe; it fits a phone and a desk, and a finger on a phone.

    The folder that TANDEM_PICTURES names gets a picture of a page with a name, at both widths.
    """
    open_to_everybody(page)
    fits(page, name)
    assert page.complaints == [], page.complaints


def open_to_everybody(page):
    """No finding of axe, which takes most of a look's time: at the page's own width only."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    found = [(each["id"], [node["target"] for node in each["nodes"]]) for each in found]
    assert found == [], found


def fits(page, name=""):
    """No sideways scrolling at either width, nothing too small for a finger on a phone."""
    own = page.viewport_size
    for width in sorted(WIDTHS, key=lambda one: one == own["width"]):  # its own as the last
        page.set_viewport_size({**own, "width": width})
        if name and (folder := os.environ.get("TANDEM_PICTURES")):
            # Hiding the caret leaves empty style attributes, which htmx copies and the content policy then refuses.
            page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True, caret="initial")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, width)
        too_small = page.evaluate(TOO_SMALL) if width <= 640 else []
        assert too_small == [], (name, too_small)
