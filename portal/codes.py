"""The field for a code that came by mail, made easy to fill in on a phone."""

from typing import Any

from allauth.account.forms import ConfirmLoginCodeForm


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
