"""How people get in: members by a code sent to their mail, staff by password, TOTP or passkey."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from billing.models import Seller

WAYS = {
    "reauthenticate": "Use my password",
    "mfa_reauthenticate": "Use a code from my app",
    "mfa_reauthenticate:webauthn": "Use my passkey",
}


class MailAway(Exception):
    """The mail server did not take a mail that somebody waits for. The same for an address that is not known."""


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "incorrect_code": "That is not the code. Look at the latest mail.",
        "email_password_mismatch": "The e-mail address or the password is not right.",
        "too_many_login_attempts": "That was too often. Please wait a minute and try again.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Accounts come from checkouts and invitations only."""
        return False

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Where somebody lands who was not on the way to a page: staff at work, members in their portal."""
        return "/admin/" if request.user.is_staff else "/portal/"

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """The ways to say again who one is, each in our words."""
        methods = super().get_reauthentication_methods(user)
        return [{**way, "description": WAYS.get(way["id"], way["description"])} for way in methods]

    def send_mail(self, template_prefix: str, email: str, context: dict) -> None:
        """Mails about sign-in carry the seller's name, as every other mail does. They are sent at once, not by a job, and
        kept nowhere. Raises MailAway."""
        seller = Seller.objects.first() or Seller(name="Tandem")
        try:
            super().send_mail(template_prefix, email, {"seller": seller, **context})
        except OSError as error:  # what smtplib raises is one, too
            raise MailAway(f"{type(error).__name__}: {error}"[:300]) from error

    def format_email_subject(self, subject: str) -> str:
        """As written: no site's name in brackets before it."""
        return str(subject)
