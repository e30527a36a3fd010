"""Files of others in CSV: a header that names the columns, and lines below it. Pure."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence

from billing.refusals import Refused


class UnreadableFile(Refused):
    """Not text, without its header, or with nothing in it; the message says which."""

    code = "unreadable_file"


def text_of(content: bytes) -> str:
    """The file as text that can be stored. Raises UnreadableFile."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile("Save the file as UTF-8 text.", field="file") from None
    if "\0" in text:
        raise UnreadableFile("The file has characters that cannot be stored.", field="file")
    return text


def rows(
    text: str, needed: Sequence[str], *, delimiter: str = ",", name: Callable[[str], str] = str.strip
) -> Iterator[tuple[int, list[str], list[str]]]:
    """(line in the file, from 1, the names of the columns, the cells of the line). `name` makes of a cell of the header
    the name of its column. Raises UnreadableFile: at the line where it ends to be CSV."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name(cell) for cell in next(reader, [])]
        _check_header(names, needed)
        for cells in reader:
            if cells:
                yield reader.line_num, names, cells
    except csv.Error as error:
        raise UnreadableFile(f"Line {reader.line_num} is not CSV: {error}.", field="file") from None


def _check_header(names: list[str], needed: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in names]:
        raise UnreadableFile(f"The first line names the columns; “{missing[0]}” is missing.", field="file")
    said = [name for name in names if name]
    if len(set(said)) != len(said):
        raise UnreadableFile("A column stands twice in the first line.", field="file")
