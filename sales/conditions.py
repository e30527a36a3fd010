"""Conditions of automations: expressions of the Common Expression Language over a checked vocabulary.

`customer.mrr > 500 && event.data.rule == "usage_near_limit"`. Only the names below may be used, so a typing mistake is
told when the automation is saved, not at night when it should have run.
"""

import re
from collections.abc import Mapping
from typing import Any

import cel

from billing.refusals import Refused

LONGEST = 1000
CUSTOMER = {
    "id": "public id", "name": "name", "email": "e-mail", "domain": "domain", "country": "two letters",
    "currency": "three letters", "segment": "code of the segment", "mrr": "major units", "arr": "major units",
    "employees": "number, 0 if unknown", "industry": "text", "owner": "e-mail of the owner in sales",
    "tags": "list of tags", "collection_method": "charge_automatically or send_invoice", "plan": "code of the plan",
    "score": "score of open signals", "engagement": "latest daily score", "days": "days since sign-up",
    "balance": "credit, major units",
}  # fmt: skip
EVENT = {
    "type": "the event's type",
    "actor": "who did it",
    "object": "id of what it is about",
    "data": "what it says",
}
ROOTS = {"customer": CUSTOMER, "event": EVENT}
OPERATORS = {
    "==": "is", "!=": "is not", ">": "more than", ">=": "at least", "<": "less than", "<=": "at most",
    "contains": "contains", "in": "is one of",
}  # fmt: skip
NUMBERS = {"mrr", "arr", "employees", "score", "engagement", "days", "balance"}
FIELD = re.compile(r"\b(customer|event)\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")
QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
BOUND = re.compile(r"\.(?:exists|exists_one|all|map|filter)\s*\(\s*([A-Za-z_][A-Za-z0-9_]*)\s*,")
DATA = re.compile(r"event\.data\.[a-z_][a-z0-9_]*")


class InvalidCondition(Refused):
    """Not an expression over the vocabulary; the message says where."""

    code = "invalid_condition"


def check(text: str) -> str:
    """The condition as it is stored; "" always holds. Raises InvalidCondition."""
    clean = text.strip()
    if not clean:
        return ""
    if len(clean) > LONGEST:
        raise InvalidCondition(f"At most {LONGEST:,} characters.", field="condition")
    own = set(BOUND.findall(clean))
    for name in sorted(_compiled(clean).variables()):
        if name not in ROOTS and name not in own:
            raise InvalidCondition(f"There is no “{name}”; use customer… or event….", field="condition")
    for root, name in FIELD.findall(QUOTED.sub('""', clean)):
        if name not in ROOTS[root]:
            known = ", ".join(ROOTS[root])
            raise InvalidCondition(f"{root} has no “{name}”; it has {known}.", field="condition")
    return clean


def _compiled(text: str) -> Any:
    try:
        return cel.compile(text)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidCondition(f"This cannot be read: {_brief(error)}", field="condition") from None


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


def holds(text: str, facts: Mapping[str, Any]) -> tuple[bool, str]:
    """(whether it holds, why it could not be told). What is missing or of another kind does not hold."""
    if not text:
        return True, ""
    try:
        answer = cel.evaluate(text, dict(facts))
    except KeyError as error:
        return False, f"{error.args[0]} is not there"
    except (ValueError, TypeError, RuntimeError) as error:
        return False, _brief(error)
    if not isinstance(answer, bool):
        return False, "the condition is neither true nor false"
    return answer, ""


def row(field: str, operator: str, value: str) -> str:
    """One line of the form as an expression: ("customer.mrr", ">", "500") -> `customer.mrr > 500.0`.

    Raises InvalidCondition naming the value.
    """
    root, _, name = field.partition(".")
    if not (DATA.fullmatch(field) or name in ROOTS.get(root, {})) or operator not in OPERATORS:
        raise InvalidCondition("Choose what to compare.", field="condition")
    if operator == "in":
        return f"{field} in [{', '.join(_literal(name, part.strip()) for part in value.split(','))}]"
    if operator == "contains" or name == "tags":
        text = _literal("", value)
        found = f"{text} in {field}" if name == "tags" else f"{field}.contains({text})"
        return f"!({found})" if operator == "!=" else found
    return f"{field} {operator} {_literal(name, value)}"


def _literal(name: str, value: str) -> str:
    if name not in NUMBERS:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    try:
        return repr(float(value.replace(",", "")))
    except ValueError:
        raise InvalidCondition("Write a number.", field="condition") from None
