"""Who may buy alone and who talks to a person first: ordered rules over what is known of a buyer, one answer.

Pure. A condition on a number is `{"over": n}`, `{"at_least": n}`, `{"under": n}`, `{"at_most": n}` or
several of them; on a word, a list of words. Words match whatever their case; a domain also matches by its
parents (`*.gov`, or `nova.example` for `eu.nova.example`). What is not known matches nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SELF_SERVE = "self_serve"
NUMBERS = ("employees", "seats")
WORDS = ("country", "industry", "plan", "need", "domain")
COMPARE: dict[str, Callable[[int, int], bool]] = {
    "over": lambda value, limit: value > limit,
    "at_least": lambda value, limit: value >= limit,
    "under": lambda value, limit: value < limit,
    "at_most": lambda value, limit: value <= limit,
}
SAID = {"over": "over", "at_least": "at least", "under": "under", "at_most": "at most"}
NOBODY_DECIDES = "no rule applies"


class InvalidRule(ValueError):
    """A condition that can never be judged; the message starts with the name of the input."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of a buyer. `need` is free text, `domain` that of the mail address unless it is free."""

    employees: int | None = None
    seats: int | None = None
    country: str = ""
    industry: str = ""
    plan: str = ""
    need: str = ""
    domain: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the list, in its order. Without conditions it always applies."""

    name: str
    outcome: str
    conditions: Mapping[str, Any] = field(default_factory=dict)
    owner: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Where the buyer goes and why: the rule that decided, and each of its conditions in words."""

    outcome: str
    rule: str
    because: tuple[str, ...]
    inputs: Inputs
    owner: int | None = None

    @property
    def self_serve(self) -> bool:
        return self.outcome == SELF_SERVE

    def to_json(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "rule": self.rule,
            "because": list(self.because),
            "inputs": self.inputs.to_json(),
            "owner": self.owner,
        }


def decide(rules: Sequence[Rule], inputs: Inputs) -> Decision:
    """The first rule whose conditions all hold decides; without one the buyer buys alone."""
    for rule in rules:
        reasons = [_holds(name, wanted, inputs) for name, wanted in rule.conditions.items()]
        if all(reasons):
            return Decision(rule.outcome, rule.name, tuple(r for r in reasons if r), inputs, rule.owner)
    return Decision(SELF_SERVE, "", (NOBODY_DECIDES,), inputs)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule held against a buyer: which of its conditions hold, in words, and the names of those that do not."""

    rule: Rule
    holds: tuple[str, ...]
    fails: tuple[str, ...]

    @property
    def applies(self) -> bool:
        return not self.fails


def verdicts(rules: Sequence[Rule], inputs: Inputs) -> list[Verdict]:
    """Every rule in its order, so that one can see which decides and why those before it do not."""
    found = []
    for rule in rules:
        said = {name: _holds(name, wanted, inputs) for name, wanted in rule.conditions.items()}
        fails = tuple(name for name, words in said.items() if not words)
        found.append(Verdict(rule, tuple(words for words in said.values() if words), fails))
    return found


def check(conditions: Mapping[str, Any]) -> None:
    """Raise InvalidRule at the first condition that `decide` could not judge."""
    for name, wanted in conditions.items():
        if name in NUMBERS:
            _check_numbers(name, wanted)
        elif name in WORDS:
            _check_words(name, wanted)
        else:
            raise InvalidRule(f"{name}: one of {', '.join(NUMBERS + WORDS)}.")


def lines(conditions: Mapping[str, Any]) -> list[str]:
    """As a person writes them: `{"employees": {"over": 100}}` is “employees over 100”, `{"plan": ["pro"]}` “plan pro”."""
    found = []
    for name, wanted in conditions.items():
        if isinstance(wanted, Mapping):
            found += [f"{name} {SAID.get(how, how)} {limit}" for how, limit in wanted.items()]
        else:
            found.append(f"{name} {', '.join(wanted)}")
    return found


def read(written: Sequence[str]) -> dict[str, Any]:
    """The opposite of `lines`. Raises InvalidRule with the line that cannot be read."""
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, written)):
        name, _, rest = line.partition(" ")
        name = name.lower()
        if name in NUMBERS:
            found.setdefault(name, {}).update(_read_number(line, rest))
        elif name in WORDS:
            found.setdefault(name, []).extend(word for part in rest.split(",") if (word := part.strip()))
        else:
            raise InvalidRule(f"“{line}” begins with none of {', '.join(NUMBERS + WORDS)}.")
    check(found)
    return found


def _read_number(line: str, rest: str) -> dict[str, int]:
    """“at least 50” is {"at_least": 50}."""
    words, _, limit = rest.strip().lower().rpartition(" ")
    how = next((key for key, said in SAID.items() if said == " ".join(words.split())), "")
    if not how or not limit.isdecimal():
        raise InvalidRule(
            f"“{line}” is not understood. Write it as “employees over 100”, with {', '.join(SAID.values())}."
        )
    return {how: int(limit)}


def _check_numbers(name: str, wanted: Any) -> None:
    if not isinstance(wanted, Mapping) or not wanted or wanted.keys() - COMPARE.keys():
        raise InvalidRule(f"{name}: an object with {', '.join(COMPARE)}.")
    if not all(isinstance(limit, int) and not isinstance(limit, bool) for limit in wanted.values()):
        raise InvalidRule(f"{name}: limits are whole numbers.")


def _check_words(name: str, wanted: Any) -> None:
    if (
        not isinstance(wanted, list)
        or not wanted
        or not all(isinstance(word, str) and word for word in wanted)
    ):
        raise InvalidRule(f"{name}: a list of words.")


def _holds(name: str, wanted: Any, inputs: Inputs) -> str:
    """The condition in words when it holds, "" when it does not."""
    value = getattr(inputs, name)
    if name in NUMBERS:
        return _number_holds(name, wanted, value)
    matches = _domain_matches if name == "domain" else _text_has if name == "need" else _same
    word = next((word for word in wanted if value and matches(value, word)), "")
    return f"{name} “{value}” is “{word}”" if word else ""


def _number_holds(name: str, wanted: Mapping[str, int], value: int | None) -> str:
    if value is None or not all(COMPARE[how](value, limit) for how, limit in wanted.items()):
        return ""
    limits = " and ".join(f"{SAID[how]} {limit:,}" for how, limit in wanted.items())
    return f"{name} {value:,} is {limits}"


def _same(value: str, word: str) -> bool:
    return value.casefold() == word.casefold()


def _text_has(value: str, word: str) -> bool:
    return word.casefold() in value.casefold()


def _domain_matches(value: str, word: str) -> bool:
    parent = word.casefold().removeprefix("*.")
    return value.casefold() == parent or value.casefold().endswith(f".{parent}")
