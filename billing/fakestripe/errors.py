"""Stripe's errors, in Stripe's shape."""

from typing import Any

DOCS = "https://stripe.com/docs/error-codes/"


class StripeFault(Exception):
    """An error answer. `keep`: what the call did so far stays (a decline is on record, a bad request not)."""

    keep = False

    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": kind, "message": message, **{k: v for k, v in more.items() if v is not None}}
        code = self.error.get("code")
        if code:
            self.error.setdefault("doc_url", DOCS + str(code).replace("_", "-"))

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.error}


class Declined(StripeFault):
    """A card error: the attempt is on record, so the call's effects stay."""

    keep = True

    def __init__(self, error: dict[str, Any]) -> None:
        more = {key: value for key, value in error.items() if key not in ("type", "message")}
        super().__init__(402, "card_error", error["message"], **more)


def invalid(message: str, **more: Any) -> StripeFault:
    return StripeFault(400, "invalid_request_error", message, **more)


def missing_param(name: str) -> StripeFault:
    return invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")


def no_such(kind: str, id: str, param: str = "id") -> StripeFault:
    status = 404 if param == "id" else 400
    message = f"No such {kind}: '{id}'"
    return StripeFault(status, "invalid_request_error", message, param=param, code="resource_missing")


def not_allowed(status: int, message: str, code: str | None = None) -> StripeFault:
    return StripeFault(status, "invalid_request_error", message, code=code)


def server_error() -> StripeFault:
    return StripeFault(500, "api_error", "An unknown error occurred")
