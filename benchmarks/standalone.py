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


def freeze() -> None:
    """What is loaded by now is left out of collections, as in the web server (`config/gunicorn.py`)."""
    gc.collect()
    gc.freeze()
