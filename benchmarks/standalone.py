"""Django for a script that is run by itself: imported before anything of the project, and quiet."""

import gc
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["LOG_LEVEL"] = "ERROR"

import django

django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test.utils import override_settings  # noqa: E402


class Bare(WSGIHandler):
    """A handler without middleware, for the addresses of one file. Settings are left alone while it answers: a change of
    them makes Django forget all addresses, and the product's next request pays for it."""

    def __init__(self, urlconf: str) -> None:
        self.urlconf = urlconf
        super().__init__()

    @override_settings(MIDDLEWARE=[])
    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async)

    def get_response(self, request: HttpRequest) -> HttpResponse:
        request.urlconf = self.urlconf  # type: ignore[attr-defined]
        return super().get_response(request)


def freeze() -> None:
    """What is loaded by now is left out of collections, as in the web server (`config/gunicorn.py`)."""
    gc.collect()
    gc.freeze()
