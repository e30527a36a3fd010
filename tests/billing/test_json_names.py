"""Names that come twice: whatever a quick reader lets pass, a careful one lets pass too."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import json_names

# Letters that could be taken for the end of a name, and how a string may be written.
TEXTS = st.text(st.sampled_from('a":\\ {,é'), max_size=4)
SPACES = st.sampled_from(["", "", " ", "\n\t"])
WRITTEN = {
    "plain": lambda text: json.dumps(text, ensure_ascii=False),
    "ascii": json.dumps,
    "numbers": lambda text: '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"',
}
STRINGS = st.tuples(TEXTS, st.sampled_from(sorted(WRITTEN))).map(lambda given: WRITTEN[given[1]](given[0]))
VALUES = st.recursive(
    STRINGS | st.sampled_from(["1", "null", "-2.5e3"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(st.tuples(STRINGS, SPACES, SPACES, inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{name}{a}:{b}{value}" for name, a, b, value in pairs) + "}"
        )
    ),
    max_leaves=6,
)


def comes_twice(text):
    found = []
    json.loads(text, object_pairs_hook=lambda pairs: found.append(json_names.that_comes_twice(pairs)))
    return any(name is not None for name in found)


@settings(max_examples=500, deadline=None)
@given(text=VALUES)
def test_no_name_comes_twice_in_what_is_let_pass(text):
    may = json_names.may_come_twice(text.encode(), orjson.loads(text))
    assert may or not comes_twice(text)
    assert not may or comes_twice(text) or "\\u003" in text


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":2}', '{"a" :1,"a":2}', r'{"a":1,"\u0061":"\u003a"}', '[{"":{"b":1,"b":1}}]']
)
def test_a_name_that_comes_twice_is_noticed(text):
    assert json_names.may_come_twice(text.encode(), orjson.loads(text))


def test_what_is_nested_too_deeply_to_be_written_is_left_to_the_careful_reader():
    text = b"[" * 300 + b"]" * 300
    assert json_names.may_come_twice(text, orjson.loads(text))
