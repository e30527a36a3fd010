"""Colleagues at the admin, each with the permissions that a test is about."""

from django.contrib.auth.models import Permission
from django.test import Client

from billing.models import User


def signed_in(*permissions: str) -> Client:
    """The browser of somebody on the staff with these permissions and no others; each call is somebody else."""
    number = User.objects.count() + 1
    user = User.objects.create_user(f"fay{number}@seller.example", name="Fay", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(user)
    return browser
