"""Where a browser may be sent to afterwards: our own addresses and the hosts that the operator listed."""

from urllib.parse import urlsplit

from django.conf import settings
from django.utils.http import url_has_allowed_host_and_scheme

from billing.refusals import Refused


class RedirectNotAllowed(Refused):
    """The address is not on a host that the operator listed."""

    code = "redirect_not_allowed"


def check(**urls: str) -> None:
    """Raises RedirectNotAllowed naming the field; "" leads nowhere and is right."""
    for field, url in urls.items():
        if url and not allowed(url):
            raise RedirectNotAllowed("This address is not on a host that is allowed here.", field=field)


def allowed(url: str) -> bool:
    own = urlsplit(settings.SITE_URL).netloc
    hosts = {own, *settings.CHECKOUT_REDIRECT_HOSTS}
    secure = settings.PRODUCTION and not url.startswith("/")
    safe = len(url) <= 500 and url.isprintable()
    return safe and url_has_allowed_host_and_scheme(url, allowed_hosts=hosts, require_https=secure)
