"""Every setting of Tandem, in one file.

Values come from the environment (or a `.env` file beside `manage.py`). Each one is safe for development;
with `TANDEM_ENV=production` the secrets have no default and a missing one stops the start by name.
"""

import sys
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env")

PRODUCTION = env.str("TANDEM_ENV", "development") == "production"
TESTING = "pytest" in sys.modules
# Whether this process answers requests.
SERVING = "gunicorn" in sys.modules


def required(name: str, development: str) -> str:
    """A secret: given by the environment in production, a harmless stand-in elsewhere."""
    value = env.str(name, "")
    if value or not PRODUCTION:
        return value or development
    MISSING.append(name)
    return ""


MISSING: list[str] = []

# -- Where things live ----------------------------------------------------------------------------
TANDEM_HOME = Path(env.str("TANDEM_HOME", str(BASE_DIR / ".tandem"))).expanduser().resolve()
PORT = env.int("PORT", 8000)
SITE_URL = required("SITE_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
SECRET_KEY = required("SECRET_KEY", "development-only-key-that-production-refuses-0123456789")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
DEBUG = env.bool("DEBUG", False) and not PRODUCTION
DEMO = env.bool("TANDEM_DEMO", False) and not PRODUCTION
ALLOWED_HOSTS = required("ALLOWED_HOSTS", "127.0.0.1,localhost,testserver").split(",")
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# -- Applications -----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "config.apps.TandemAdminConfig",
    "config.apps.RuntimeConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "rest_framework",
    "drf_spectacular",
    "djstripe",
    "django_q",
    "billing",
    "sales",
    "checkout",
    "portal",
]
MIDDLEWARE = [
    "config.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "config.middleware.Sessions",
    "django.middleware.common.CommonMiddleware",
    "config.middleware.Forms",
    "config.middleware.Users",
    "config.middleware.SellersZone",
    "config.middleware.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
if DEMO:
    MIDDLEWARE.append("config.middleware.SampleGate")
# Says how far the demo's sample data are; there while they are being made.
SAMPLE_UNFINISHED = TANDEM_HOME / "sample-unfinished"
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.site",
            ],
        },
    }
]

# -- Database ------------------------------------------------------------------------------------------
EMBEDDED = not PRODUCTION and not env.str("DATABASE_URL", "")
if env.str("DATABASE_URL", ""):
    DATABASES = {"default": env.db_url("DATABASE_URL", engine="django.db.backends.postgresql")}
elif PRODUCTION:
    MISSING.append("DATABASE_URL")
    DATABASES = {}
else:
    from config.embedded import database_settings

    DATABASES = {"default": database_settings(TANDEM_HOME)}
for database in DATABASES.values():
    database["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", 60)
    database["CONN_HEALTH_CHECKS"] = True
    # Shown by pg_stat_activity; `manage.py doctor` finds the job workers by it.
    working = "qcluster" in sys.argv
    database.setdefault("OPTIONS", {})["application_name"] = "tandem worker" if working else "tandem"
    # Nothing waits for ever: a statement, a lock, a transaction that somebody has left open. Requests give up before
    # the web server gives them up; jobs have time; a command that a person runs (a migration, a restore) has no limit.
    if working or SERVING:
        statement, lock = (280, 60) if working else (45, 4)
        database["OPTIONS"].setdefault(
            "options",
            f"-c statement_timeout={statement}s -c lock_timeout={lock}s -c idle_in_transaction_session_timeout=120s",
        )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# dj-stripe's own chain of migrations takes most of a minute; this is the same schema in one.
MIGRATION_MODULES = {"djstripe": "billing.djstripe_migrations"}

# -- Time, language, static files --------------------------------------------------------------------
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = True
FORMAT_MODULE_PATH = "config.formats"
STATIC_URL = "/static/"
STATIC_ROOT = TANDEM_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION

# -- Security ------------------------------------------------------------------------------------------
SECURE_CSP = {
    "default-src": [CSP.SELF],
    # The nonce is for the two inline sheets of Django's admin; where no page asks for it, it is not sent.
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    "form-action": [CSP.SELF],
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "config.failing.not_sent_from_here"
if PRODUCTION:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", True)
    SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"

# -- Accounts ------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "billing.User"
# Whom the visitor of a public page buys for, if that is known: checkout does not know the portal.
CHECKOUT_BUYER = "portal.access.buyer_of"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/portal/"
ACCOUNT_ADAPTER = "portal.accounts.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_FORMAT = {"numeric": True, "length": 8, "dashed": True}
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 600
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = True
ACCOUNT_FORMS = {"confirm_login_code": "portal.codes.ConfirmCodeForm"}
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION
# Must everybody on the staff have a passkey or an authenticator app?
STAFF_SECOND_FACTOR = env.bool("STAFF_SECOND_FACTOR", PRODUCTION)

# -- Mail ----------------------------------------------------------------------------------------------
# Any Django backend through EMAIL_URL; without one every mail is kept in the database and shown at /mail/.
MAIL_SERVER = {"EMAIL_HOST": "host", "EMAIL_PORT": "port", "EMAIL_HOST_USER": "username"}
MAIL_SERVER |= {"EMAIL_HOST_PASSWORD": "password", "EMAIL_USE_TLS": "use_tls", "EMAIL_USE_SSL": "use_ssl"}
MAILERS: dict[str, dict[str, Any]] = {"default": {"BACKEND": "billing.mail.KeepingBackend"}}
if env.str("EMAIL_URL", ""):
    mail_url = env.email_url("EMAIL_URL")
    MAILERS["default"] = {"BACKEND": mail_url["EMAIL_BACKEND"]}
    if mail_url["EMAIL_HOST"]:
        options = {option: mail_url[name] for name, option in MAIL_SERVER.items() if mail_url.get(name)}
        MAILERS["default"]["OPTIONS"] = {**options, "timeout": 15}
elif PRODUCTION:
    MISSING.append("EMAIL_URL")
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Tandem <billing@tandem.example>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# -- Stripe --------------------------------------------------------------------------------------------
STRIPE_SECRET_KEY = required("STRIPE_SECRET_KEY", "sk_test_tandemsandbox0000000000000000")
STRIPE_PUBLISHABLE_KEY = required("STRIPE_PUBLISHABLE_KEY", "pk_test_tandemsandbox0000000000000000")
STRIPE_WEBHOOK_SECRET = required("STRIPE_WEBHOOK_SECRET", "whsec_tandemsandbox000000000000000000")
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
# The in-house stand-in: on wherever no real key was given, and never beside a live one.
STRIPE_FAKE = env.bool("STRIPE_FAKE", "tandemsandbox" in STRIPE_SECRET_KEY)
FAKE_FILE = ":memory:" if TESTING else str(TANDEM_HOME / "fakestripe.sqlite3")
STRIPE_FAKE_STORE = env.str("STRIPE_FAKE_STORE", FAKE_FILE)
STRIPE_FAKE_URL = f"{SITE_URL}/fakestripe"
STRIPE_FAKE_WEBHOOK_URL = f"{SITE_URL}/webhooks/stripe/"
# While a secret is rotated, Stripe signs with both: the old one goes here until it has expired.
STRIPE_WEBHOOK_SECRETS = [STRIPE_WEBHOOK_SECRET, *env.list("STRIPE_WEBHOOK_SECRETS_OLD", default=[])]

# For pages with a card field, by `csp_override`: Stripe's script, frames and API, unless we stand in for it.
CARD_PAGE_CSP = dict(SECURE_CSP)
if not STRIPE_FAKE:
    CARD_PAGE_CSP |= {
        "script-src": [CSP.SELF, "https://js.stripe.com", "https://*.js.stripe.com"],
        "frame-src": [
            CSP.SELF,
            "https://js.stripe.com",
            "https://*.js.stripe.com",
            "https://hooks.stripe.com",
        ],
        "connect-src": [CSP.SELF, "https://api.stripe.com"],
        "form-action": [CSP.SELF, "https://hooks.stripe.com"],
    }

# Where a checkout or a link into the portal may send a browser afterwards, beside this site: host names.
CHECKOUT_REDIRECT_HOSTS = env.list("CHECKOUT_REDIRECT_HOSTS", default=[])

# dj-stripe mirrors what Stripe tells us, with the same key; its own webhook address is not mounted.
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
if STRIPE_LIVE_MODE:
    STRIPE_LIVE_SECRET_KEY = STRIPE_SECRET_KEY
else:
    STRIPE_TEST_SECRET_KEY = STRIPE_SECRET_KEY

# -- Jobs ----------------------------------------------------------------------------------------------
WORKERS = env.int("WORKERS", 2)
Q_CLUSTER = {
    "name": "tandem",
    "orm": "default",
    "broker_class": "billing.jobs.Queue",
    "workers": WORKERS,
    # What a worker has taken is done before it stops, and before what is called meanwhile.
    "bulk": WORKERS,
    "queue_limit": WORKERS,
    "timeout": 300,
    "retry": 360,
    "max_attempts": 8,
    "ack_failures": True,
    # `billing.jobs.forget` drops finished jobs: with a limit here, each one that ends reads and locks all of them.
    "save_limit": 0,
    "poll": 0.2,
    "catch_up": False,
    "label": "Jobs",
}

# -- Addresses that somebody typed -----------------------------------------------------------------------
# Webhook endpoints: ordinary public addresses on these ports, and whatever lies in these networks (CIDR).
OUTSIDE_PORTS = env.list("OUTSIDE_PORTS", cast=int, default=[443, 8443])
OUTSIDE_NETWORKS = env.list("OUTSIDE_NETWORKS", default=[])

# -- Usage -----------------------------------------------------------------------------------------------
# A usage period takes events until so many days after its end; crossing a share of a limit is an event.
USAGE_GRACE_DAYS = env.int("USAGE_GRACE_DAYS", 3)
USAGE_THRESHOLDS = env.list("USAGE_THRESHOLDS", cast=int, default=[80, 100])

# How many requests a key may make in a minute, all web processes together; 0 for no limit.
API_REQUESTS_PER_MINUTE = {
    "usage": env.int("API_USAGE_REQUESTS_PER_MINUTE", 60_000),
    "other": env.int("API_REQUESTS_PER_MINUTE", 12_000),
}

# -- API -----------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["billing.api.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["billing.api.authentication.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["billing.api.parsing.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "billing.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tandem API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "billing.api.linking.add",
        "billing.api.telling.add",
    ],
    "ENUM_NAME_OVERRIDES": {
        "SubscriptionStatus": "billing.models.Subscription.Status",
        "InvoiceStatus": "billing.models.Invoice.Status",
        "PaymentStatus": "billing.models.Payment.Status",
        "PaymentKind": "billing.models.Payment.Method",
        "CollectionMethod": "billing.models.CollectionMethod",
        "DeliveryStatus": "billing.models.WebhookDelivery.Status",
        "Motion": "billing.models.Motion",
        "LineKind": "billing.models.LineKind",
        "MemberRole": "billing.models.Member.Role",
        "Interval": [(i, i) for i in ("week", "month", "quarter", "half_year", "year")],
        "ClockStatus": ["ready", "advancing"],
        "UsageImportStatus": "billing.models.UsageImport.Status",
        "MeterAggregation": "billing.models.Meter.Aggregation",
        "PriceModel": [(m, m) for m in ("flat", "per_unit", "graduated", "volume", "package", "percentage")],
        "PriceBilled": ["advance", "arrears"],
        "DiscountDuration": ["once", "repeating", "forever"],
        "TaxCategory": ["S", "Z", "E", "AE", "O", "K", "G"],
        "EndpointStatus": ["enabled", "failing", "disabled"],
        "PriceKind": ["recurring", "usage", "one_time", "minimum"],
        "QuoteLineKind": ["recurring", "usage", "one_time"],
        "ChangeLineKind": ["charge", "credit", "tax"],
        "DisputeStatus": "billing.models.payments.DisputeStatus",
        "RefundStatus": "billing.models.Refund.Status",
        "SignOffStatus": "billing.models.SignOff.Status",
        "SignOffKind": "billing.models.SignOff.Kind",
        "CreditDestination": ["balance", "refund"],
        "CreditedTo": ["balance", "refund", "invoice"],
        "Proration": ["prorate", "none"],
        "LeadStatus": "sales.models.Lead.Status",
        "SignalStatus": "sales.models.Signal.Status",
        "SignalWeight": "sales.models.Weight",
        "HandoffTaskStatus": "sales.models.HandoffTask.Status",
        "DealStage": "sales.models.Deal.Stage",
        "QuoteState": "sales.models.Quote.State",
        "QuoteStarts": "sales.models.Quote.Starts",
        "CheckoutStatus": "checkout.models.CheckoutSession.Status",
        "CheckoutInterval": [(i, i) for i in ("month", "quarter", "half_year", "year")],
        "HandoffOutcome": ["won", "lost"],
    },
}

# -- Logging -------------------------------------------------------------------------------------------
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": LOG_FORMAT}},
    "filters": {"routes": {"()": "config.logs.Routes"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["routes"]}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "WARNING" if TESTING else "INFO")},
    "loggers": {
        "stripe": {"level": "WARNING"},  # it tells every call at INFO, and what was sent at DEBUG
        "fontTools": {"level": "ERROR"},
        "weasyprint": {"level": "ERROR"},
    },
}

if MISSING:
    raise ImproperlyConfigured("TANDEM_ENV=production needs these in the environment: " + ", ".join(MISSING))
