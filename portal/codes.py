"""The field for a code that came by mail, made easy to fill in on a phone."""

from typing import Any

from allauth.account.forms import ConfirmLoginCodeForm
from allauth.core import context
from django import forms

from billing import witnessing


class ConfirmCodeForm(ConfirmLoginCodeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget.attrs.update(
            inputmode="numeric",
            autocomplete="one-time-code",
            autofocus=True,
            maxlength="12",
            spellcheck="false",
        )

    def clean_code(self) -> str:
        """A wrong code is noted, for an address that nobody has too: else the answer would come sooner."""
        try:
            return str(super().clean_code())
        except forms.ValidationError:
            stage = getattr(context.request, "_login_stage", None)
            if stage is not None and not stage.state.get("user_id"):
                witnessing.wrong_code(context.request)
            raise
