"""The public address of quotes."""

from django.urls import re_path

from sales.views import quotes

TOKEN = r"^(?P<token>[0-9a-f]{32}\.[A-Za-z0-9_-]{20,80})/"

app_name = "quotes"
urlpatterns = [
    re_path(TOKEN + r"$", quotes.show, name="show"),
    re_path(TOKEN + r"accept/$", quotes.accept, name="accept"),
    re_path(TOKEN + r"decline/$", quotes.decline, name="decline"),
    re_path(TOKEN + r"comment/$", quotes.comment, name="comment"),
    re_path(TOKEN + r"quote.pdf$", quotes.paper, name="paper"),
]
