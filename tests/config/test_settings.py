"""The settings as a process of its own sees them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

CHECKOUT = Path(__file__).resolve().parents[2]
SECRETS = {
    "SITE_URL": "https://billing.example",
    "SECRET_KEY": "x" * 50,
    "ALLOWED_HOSTS": "billing.example,www.billing.example",
    "DATABASE_URL": "postgres://tandem@/tandem?host=/somewhere",
    "EMAIL_URL": "smtp+tls://user:password@mail.example:587",
    "STRIPE_SECRET_KEY": "sk_live_1",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
}

OURS = {*SECRETS, "TANDEM_ENV", "TANDEM_HOME", "TANDEM_DEMO", "DEBUG", "PORT", "STRIPE_FAKE"}


def evaluated(expression: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `expression` gives in a fresh process with these settings and no others."""
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.run(
        [sys.executable, "-c", f"from config import settings; print(({expression}))"],
        cwd=CHECKOUT,
        env={**inherited, "TANDEM_ENV": "production", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_starts_in_production_when_everything_is_given() -> None:
    done = evaluated("settings.DEBUG, settings.DEMO, settings.STRIPE_FAKE, settings.EMBEDDED", **SECRETS)
    assert done.stdout.strip() == "(False, False, False, False)", done.stderr


@pytest.mark.parametrize("name", SECRETS)
def test_it_names_the_secret_that_production_lacks(name: str) -> None:
    done = evaluated("1", **{key: value for key, value in SECRETS.items() if key != name})
    assert done.returncode != 0
    assert done.stderr.strip().endswith(f"needs these in the environment: {name}")


def test_it_ignores_debug_and_demo_in_production() -> None:
    done = evaluated("settings.DEBUG, settings.DEMO", **SECRETS, DEBUG="true", TANDEM_DEMO="true")
    assert done.stdout.strip() == "(False, False)", done.stderr


def test_it_takes_a_sockets_folder_in_the_database_address() -> None:
    done = evaluated("settings.DATABASES['default']['OPTIONS']['host']", **SECRETS)
    assert done.stdout.strip() == "/somewhere"


def test_it_needs_nothing_for_development() -> None:
    done = evaluated("settings.EMBEDDED, settings.SITE_URL", TANDEM_ENV="development", PORT="8123")
    assert done.stdout.strip() == "(True, 'http://127.0.0.1:8123')", done.stderr


def test_it_sends_mail_by_the_given_server() -> None:
    done = evaluated("settings.MAILERS['default']", **SECRETS)
    assert ast.literal_eval(done.stdout) == {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {
            "host": "mail.example",
            "port": 587,
            "username": "user",
            "password": "password",
            "use_tls": True,
            "timeout": 15,
        },
    }


def test_it_keeps_mail_when_no_server_is_given() -> None:
    done = evaluated("settings.MAILERS['default']['BACKEND']", TANDEM_ENV="development")
    assert done.stdout.strip() == "billing.mail.KeepingBackend"


def test_it_makes_a_mailer_that_django_accepts() -> None:
    environment = {**SECRETS, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = evaluated("type(__import__('django.core.mail').core.mail.mailers.default).__name__", **environment)
    assert done.stdout.strip() == "EmailBackend", done.stderr


def test_it_collects_every_static_file_that_a_style_sheet_names(settings, tmp_path: Path) -> None:
    """As production does, less the compression, which takes long and refuses nothing."""
    settings.STATIC_ROOT = tmp_path
    backend = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": backend}}
    call_command("collectstatic", interactive=False, verbosity=0)
    assert (tmp_path / "staticfiles.json").exists()
