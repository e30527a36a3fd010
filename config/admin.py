"""The staff side: Django's own admin with Tandem's look and its own screens."""

from django.contrib import admin


class TandemAdminSite(admin.AdminSite):
    site_header = "Tandem"
    site_title = "Tandem"
    index_title = "Overview"
    site_url = "/pricing/"
