"""/v1/customers"""

from billing.fakestripe import methods, shapes
from billing.fakestripe.call import Call
from billing.fakestripe.errors import invalid
from billing.fakestripe.params import choice, integer, items, mapping, merged_metadata, text
from billing.fakestripe.store import Row

FIELDS = (
    "address balance description email invoice_settings metadata name phone preferred_locales"
    " shipping tax_exempt"
)
PLAIN = ("description", "email", "name", "phone")


def create(call: Call) -> Row:
    row = shapes.customer(call.new_id("cus")[:18], call.now)
    _apply(call, row)
    call.save(row)
    call.emit("customer.created", row)
    if id := text(call.params, "payment_method"):
        methods.attach_to(call, methods.usable(call, id), row["id"])
    return row


def retrieve(call: Call, id: str) -> Row:
    return call.find("customer", id)


def update(call: Call, id: str) -> Row:
    row = living(call, id)
    before = {name: row[name] for name in FIELDS.split() if name in call.params}
    _apply(call, row)
    call.save(row)
    previous = {name: value for name, value in before.items() if value != row[name]}
    call.emit("customer.updated", row, previous)
    return row


def delete(call: Call, id: str) -> Row:
    row = living(call, id)
    for method in call.fake.store.rows("payment_method", customer=id):
        methods.detach_from(call, method)
    call.emit("customer.deleted", row)
    return call.save({"id": id, "object": "customer", "deleted": True, "created": row["created"]})


def listed(call: Call) -> Row:
    page = call.listed("customer", **({"email": "email"} if "email" in call.params else {}))
    page["data"] = [row for row in page["data"] if not row.get("deleted")]
    return page


def living(call: Call, id: str | None, param: str = "id") -> Row:
    """A customer that was not deleted."""
    row = call.find("customer", id, param)
    if row.get("deleted"):
        return call.find("customer", "", param)
    return row


def _apply(call: Call, row: Row) -> None:
    params = call.params
    row.update({name: text(params, name) for name in PLAIN if name in params})
    if row["email"] and "@" not in row["email"]:
        raise invalid(f"Invalid email address: {row['email']}", param="email", code="email_invalid")
    row["balance"] = integer(params, "balance", row["balance"])
    row["tax_exempt"] = (
        choice(params, "tax_exempt", ("none", "exempt", "reverse"), row["tax_exempt"]) or "none"
    )
    row["metadata"] = merged_metadata(row["metadata"], params)
    _apply_nested(call, row)


def _apply_nested(call: Call, row: Row) -> None:
    params = call.params
    if "address" in params:
        row["address"] = {**shapes.ADDRESS, **mapping(params, "address")} if params["address"] else None
    if "shipping" in params:
        row["shipping"] = mapping(params, "shipping") or None
    if "preferred_locales" in params:
        row["preferred_locales"] = items(params, "preferred_locales")
    if default := mapping(params, "invoice_settings").get("default_payment_method"):
        row["invoice_settings"]["default_payment_method"] = _own_method(call, default, row["id"])


def _own_method(call: Call, id: str, customer: str) -> str:
    method = call.find("payment_method", id, "invoice_settings[default_payment_method]")
    if method["customer"] != customer:
        raise invalid(
            "The customer does not have a payment method with the ID "
            + id
            + ". The payment method must be attached"
            " to the customer.",
            param="invoice_settings[default_payment_method]",
            code="resource_missing",
        )
    return id
