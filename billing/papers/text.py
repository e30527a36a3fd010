"""Text that others typed, made fit to print: nothing that breaks XML, turns the reading direction round or is a formula
in a spreadsheet."""

import re

# What XML 1.0 cannot hold, and what Unicode reserves for overriding the direction of a text. A name with an
# override reads as another name on paper; the direction of each word still comes from its own letters.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text without control characters, lone surrogates, non-characters and direction overrides."""
    return _OVERRIDES.sub("", _UNPRINTABLE.sub("", text)).strip()


def one_line(text: str) -> str:
    """The printable text with every run of white space turned into one space."""
    return " ".join(printable(text).split())


def in_fours(iban: str) -> str:
    """An IBAN as it is printed, read out and typed: "DE02120300000000202051" -> "DE02 1203 0000 0000 2020 51"."""
    compact = one_line(iban).replace(" ", "")
    return " ".join(compact[start : start + 4] for start in range(0, len(compact), 4))


# What begins a formula; in a spreadsheet set up for Japanese or Chinese the wide forms do, too.
_BEGINS_A_FORMULA = frozenset("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")


def spreadsheet_text(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return f"'{text}" if text[:1] in _BEGINS_A_FORMULA else text
