"""How the worker and its paper helper talk: two lengths, a word, a body."""

import json
import struct
from typing import Any

from billing.papers.data import InvoicePaper, Paper, QuotePaper

HEAD = "!II"


def frame(word: str, body: bytes) -> bytes:
    """One message."""
    said = word.encode()
    return struct.pack(HEAD, len(said), len(body)) + said + body


def request_of(paper: Paper, seconds: int, memory: int) -> bytes:
    """The message that asks for a paper."""
    kind = "invoice" if isinstance(paper, InvoicePaper) else "quote"
    asked = {"kind": kind, "seconds": seconds, "memory": memory, "paper": paper.to_json()}
    return frame("print", json.dumps(asked).encode())


def paper_of(asked: dict[str, Any]) -> Paper:
    """The paper of a decoded request."""
    return (InvoicePaper if asked["kind"] == "invoice" else QuotePaper).from_json(asked["paper"])
