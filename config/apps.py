from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class TandemAdminConfig(AdminConfig):
    default_site = "config.admin.TandemAdminSite"


class RuntimeConfig(AppConfig):
    """The project itself as an application, for its commands: demo, doctor, schedules."""

    name = "config"
