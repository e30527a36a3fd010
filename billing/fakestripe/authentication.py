"""What payment and setup intents share: a client secret, 3-D Secure and where it sends the buyer."""

from urllib.parse import quote

from billing.fakestripe.call import Call, random_text
from billing.fakestripe.errors import not_allowed
from billing.fakestripe.params import flag, text
from billing.fakestripe.store import Row

FAILED_AUTHENTICATION = (
    "We are unable to authenticate your payment method."
    " Please choose a different payment method and try again."
)
HIDDEN_FROM_BROWSERS = (
    "customer",
    "metadata",
    "latest_charge",
    "application",
    "transfer_data",
    "transfer_group",
)


def new_secret(id: str) -> str:
    return f"{id}_secret_{random_text(25)}"


def opened(call: Call, kind: str, id: str) -> Row:
    """The intent; a browser has to know its client secret."""
    row = call.find(kind, id)
    if call.browser and call.params.get("client_secret") != row["client_secret"]:
        raise not_allowed(400, "The client_secret provided does not match the one of this intent.")
    return row


def shown(call: Call, row: Row) -> Row:
    """The intent as this caller may see it."""
    if not call.browser:
        return row
    return {key: value for key, value in row.items() if key not in HIDDEN_FROM_BROWSERS}


def ask_for_authentication(call: Call, row: Row) -> None:
    """Put the intent into `requires_action`, with the page (or our stripe.js's dialogue) that comes next."""
    url = f"{call.fake.base_url}/challenge/{row['id']}/?client_secret={quote(row['client_secret'])}"
    return_url = text(call.params, "return_url") or row.get("_return_url")
    if return_url and not flag(call.params, "use_stripe_sdk"):
        row["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": return_url, "url": url},
        }
    else:
        inner = {"type": "three_d_secure_redirect", "stripe_js": url}
        row["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": inner}
    row["status"] = "requires_action"


def needs_authentication(rule: str, *, set_up: bool, off_session: bool) -> bool:
    """Whether 3-D Secure is asked for, by the card's rule."""
    if rule == "always":
        return True
    if rule == "unless_set_up":
        return not (set_up and off_session)
    return rule == "on_session" and not off_session
