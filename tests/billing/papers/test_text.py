"""What others typed, made fit to print."""

import pytest

from billing.papers.text import one_line, printable


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("a\x01&]]>", "a&]]>"),
        ("a\ufffeb\uffff", "ab"),
        ("a\ud800b", "ab"),
        ("\u202eoviedni", "oviedni"),
        ("\u2066a\u2069", "a"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("  a\nb  ", "a\nb"),
    ],
)
def test_it_drops_what_cannot_be_printed_and_nothing_else(typed: str, printed: str) -> None:
    assert printable(typed) == printed


def test_it_joins_lines() -> None:
    assert one_line(" a\r\n\t b\x00 ") == "a b"
