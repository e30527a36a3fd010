"""Make NotoSansCJK-Names.otf from the collection that Debian's fonts-noto-cjk installs.

python billing/papers/fonts/make_cjk.py /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

BIG5_EVERYDAY = range(0xA4, 0xC7)  # rows of the 5,401 frequently used characters
SPACE, NO_BREAK_SPACE = 0x20, 0xA0  # shaped with the word they follow


def charset() -> set[int]:
    """Code points of the everyday national character sets, with kana and full-width forms."""
    found = {*_decoded("gb2312"), *_decoded("euc_jp"), *_decoded("euc_kr"), *_decoded("big5", BIG5_EVERYDAY)}
    wide = {point for point in found if point >= 0x2E80}
    return wide | {SPACE, NO_BREAK_SPACE, *range(0x3000, 0x3100), *range(0xFF00, 0xFFF0)}


def _decoded(encoding: str, rows: range = range(0xA1, 0xFF)) -> Iterator[int]:
    for high in rows:
        for low in range(0x40, 0xFF):
            text = bytes([high, low]).decode(encoding, "ignore")
            if len(text) == 1:
                yield ord(text)


def options() -> subset.Options:
    """Names and kerning stay; hinting, vertical writing and glyph names go."""
    chosen = subset.Options(layout_features=["kern"], hinting=False, glyph_names=False)
    chosen.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    chosen.drop_tables += ["vhea", "vmtx", "VORG", "BASE"]
    return chosen


def main(collection: str) -> None:
    """Write the subset beside this file."""
    font = TTFont(collection, fontNumber=0)  # the first face is the Japanese one; it holds all of them
    subsetter = subset.Subsetter(options())
    subsetter.populate(unicodes=charset())
    subsetter.subset(font)
    font.save(Path(__file__).parent / "NotoSansCJK-Names.otf")


if __name__ == "__main__":
    main(sys.argv[1])
