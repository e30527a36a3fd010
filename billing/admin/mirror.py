"""The card network's mirror: rows that its events write, to be looked up here and never changed.

Of dj-stripe's own pages some searches fail on columns that are gone, and their forms write rows that no event told of.
"""

from django.apps import apps
from django.contrib import admin
from django.db.models import Model

from billing.admin.base import ReadOnly

APP = "djstripe"
SHOWN = ("id", "type", "status", "livemode", "created")
# What opens something at the card network is not to be read here.
SECRETS = ("secret", "publishable_key")


class Mirror(ReadOnly):
    pass


def screen_of(model: type[Model]) -> type[Mirror]:
    """The page for one table of the mirror, by the columns that it has."""
    has = {field.name for field in model._meta.concrete_fields}
    parts = {
        "list_display": tuple(name for name in SHOWN if name in has) or ("__str__",),
        "list_filter": ("livemode",) if "livemode" in has else (),
        "search_fields": ("id",) if "id" in has else (),
        "exclude": tuple(name for name in SECRETS if name in has),
    }
    return type(f"{model.__name__}Mirror", (Mirror,), parts)


for model in apps.get_app_config(APP).get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)
        admin.site.register(model, screen_of(model))
