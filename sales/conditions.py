"""Conditions of automations: expressions of the Common Expression Language over a checked vocabulary.

`customer.mrr > 500 && event.data.rule == "usage_near_limit"`. Only the names below may be used, so a typing mistake is
told when the automation is saved, not at night when it should have run.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cel

from billing import event_types
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
MONEY = ("mrr", "arr", "balance")  # of the customer; of an event `event_types.MONEY`
COUNTED = {"employees", "score", "engagement", "days"}
NUMBERS = {*MONEY, *COUNTED, *(f"data.{name}" for name in event_types.NUMBERS)}
ORDERS = (">", ">=", "<", "<=")
FIELD = re.compile(r"\b(customer|event)\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")
QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
BOUND = re.compile(r"\.(?:exists|exists_one|all|map|filter)\s*\(\s*([A-Za-z_][A-Za-z0-9_]*)\s*,")
PATH = r"\b(?:customer\.[a-z_]+|event(?:\.[a-z_][a-z0-9_]*)+)"
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
        raise InvalidCondition(
            f"This cannot be read: {_brief(error)}{_hint(text)}", field="condition"
        ) from None


def _hint(text: str) -> str:
    """For who writes it as other languages do."""
    bare = QUOTED.sub('""', text)
    ways = ((r"\band\b", "&& for “and”"), (r"\bor\b", "|| for “or”"), (r"[^=!<>]=[^=]", "== for “is”"))
    found = [words for shape, words in ways if re.search(shape, bare, re.IGNORECASE)]
    return f". Write {', '.join(found)}." if found else ""


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


def holds(text: str, facts: Mapping[str, Any]) -> tuple[bool, str]:
    """(whether it holds, why it could not be told). What is missing or of another kind does not hold."""
    if not text:
        return True, ""
    try:
        answer = cel.evaluate(text, _comparable(facts))
    except KeyError as error:
        return False, f"{error.args[0]} is not there"
    except (ValueError, TypeError, RuntimeError) as error:
        return False, _brief(error)
    if not isinstance(answer, bool):
        return False, "the condition is neither true nor false"
    return answer, ""


def _comparable(facts: Mapping[str, Any]) -> dict[str, Any]:
    """With money as numbers."""
    customer, event = facts["customer"], facts["event"]
    data = _as_numbers(event["data"], event_types.MONEY.get(event["type"], ()))
    return {"customer": _as_numbers(customer, MONEY), "event": {**event, "data": data}}


def _as_numbers(values: Mapping[str, Any], money: Sequence[str]) -> dict[str, Any]:
    return {
        name: float(value) if name in money and isinstance(value, str) else value
        for name, value in values.items()
    }


def looked_at(text: str, facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, what it stands for) of each name in the condition, in its order."""
    for path in dict.fromkeys(re.findall(PATH, QUOTED.sub('""', text))):
        value: Any = facts
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        yield path, _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    return "nothing" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)


def row(field: str, operator: str, value: str) -> str:
    """One line of the form as an expression: ("customer.mrr", ">", "500") -> `customer.mrr > 500.0`.

    Raises InvalidCondition naming the value.
    """
    root, _, name = field.partition(".")
    if not (DATA.fullmatch(field) or name in ROOTS.get(root, {})) or operator not in OPERATORS:
        raise InvalidCondition("Choose what to compare.", field="condition")
    _refuse_senseless(name, operator, value)
    parts = [_literal(name, part.strip()) for part in value.split(",")] if operator == "in" else []
    if name == "tags":
        found = " || ".join(f"{each} in {field}" for each in parts or [_literal("", value)])
        return f"!({found})" if operator == "!=" else f"({found})" if len(parts) > 1 else found
    if operator == "in":
        return f"{field} in [{', '.join(parts)}]"
    if operator == "contains":
        return f"{field}.contains({_literal('', value)})"
    return f"{field} {operator} {_literal(name, value)}"


def _refuse_senseless(name: str, operator: str, value: str) -> None:
    """What could never hold, or always would."""
    if name in NUMBERS and operator == "contains":
        raise InvalidCondition("A number contains nothing; compare it.", field="value")
    if name not in NUMBERS and operator in ORDERS:
        raise InvalidCondition("This is no number: use “is”, “contains” or “is one of”.", field="value")
    if not value.strip() and (name == "tags" or operator in ("contains", "in")):
        raise InvalidCondition("Write what to look for.", field="value")


def _literal(name: str, value: str) -> str:
    if name not in NUMBERS:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    try:
        number = float(value.replace(",", ""))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidCondition("Write a number.", field="value")
    return repr(number)


# -- Back from an expression to lines of the form -----------------------------------------------------------

OR = ("||", "?")
OPENING, CLOSING = "([{", ")]}"
TEXT = r'"((?:[^"\\]|\\["\\])*)"'
NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?)"
LITERAL = re.compile(rf"{TEXT}|{NUMBER}")
COMPARED = re.compile(rf"([a-z_.]+) (==|!=|>=|<=|>|<) ({TEXT}|{NUMBER})")
LOOKED_IN = re.compile(rf"([a-z_.]+)(?:\.(contains)\(({TEXT})\)| (in) \[(.*)\])")
TAGGED = re.compile(rf"(!?)\(?{TEXT} in customer\.tags(.*)")


def parted(text: str, most: int) -> tuple[list[tuple[str, str, str]], str]:
    """The lines of the form that `row` made this of, at most so many, and what is left as an expression."""
    rows: list[tuple[str, str, str]] = []
    rest: list[str] = []
    for part in _conjuncts(text):
        found = _line(part) if len(rows) < most else None
        if found is None:
            rest.append(part)
        else:
            rows.append(found)
    return rows, " && ".join(rest)


def joined(lines: Sequence[str], written: str) -> str:
    """All of it as one expression: each line has to hold, and what is written out as well."""
    aside = lines and any(sign in _outer(written) for sign in OR)
    return " && ".join([*lines, *([f"({written})" if aside else written] if written else [])])


def _conjuncts(text: str) -> list[str]:
    """What is joined by “and” at the outside; all in one piece where an “or” stands there."""
    outer = _outer(text)
    if any(sign in outer for sign in OR):
        return [text]
    ends = [*(found.start() for found in re.finditer("&&", outer)), len(text)]
    starts = [0, *(end + 2 for end in ends)]
    return [part for start, end in zip(starts, ends, strict=False) if (part := text[start:end].strip())]


def _outer(text: str) -> str:
    """The text with an x for every letter in quotes or brackets."""
    depth, made = 0, []
    for letter in QUOTED.sub(lambda found: "x" * len(found[0]), text):
        depth -= letter in CLOSING
        made.append("x" if depth > 0 else letter)
        depth += letter in OPENING
    return "".join(made)


def _line(part: str) -> tuple[str, str, str] | None:
    """The line that makes exactly this, if there is one."""
    return next((line for line in _guesses(part) if _makes(line, part)), None)


def _guesses(part: str) -> Iterator[tuple[str, str, str]]:
    if tagged := TAGGED.fullmatch(part):
        yield (
            "customer.tags",
            "!=" if tagged[1] else "in" if tagged[3] not in ("", ")") else "==",
            _values(part),
        )
    elif found := COMPARED.fullmatch(part):
        yield found[1], found[2], _values(found[3])
    elif found := LOOKED_IN.fullmatch(part):
        yield found[1], found[2] or found[5], _values(found[3] or found[6])


def _values(text: str) -> str:
    """The literals in it as a person would type them."""
    found = ((plain, number) for plain, number in LITERAL.findall(text))
    return ", ".join(
        number.removesuffix(".0") or re.sub(r'\\(["\\])', r"\1", plain) for plain, number in found
    )


def _makes(line: tuple[str, str, str], part: str) -> bool:
    try:
        return row(*line) == part
    except InvalidCondition:
        return False
