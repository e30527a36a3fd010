"""Breaks signs and bounds of `billing.maths`, one at a time, and shows that its tests notice each.

    python tests/billing/maths/mutations.py

Works on a copy; ends with 1 if a broken copy passes.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]


class Mutation(NamedTuple):
    file: str
    right: str
    wrong: str
    words: str


MUTATIONS = (
    Mutation("proration.py", "numerator * days", "numerator * (days - 1)", "a day fewer is charged"),
    Mutation("proration.py", "(end - start).days, period.days", "(end - start).days, 30", "every month has 30 days"),
    Mutation("periods.py", "n if self.boundary(n) <= day else", "n if self.boundary(n) < day else",
             "a boundary ends a period"),
    Mutation("periods.py", "self.start <= day < self.end", "self.start <= day <= self.end", "periods are closed"),
    Mutation("discounts.py", "min(discount.amount_off if most is None else most, sum(amounts))",
             "(discount.amount_off if most is None else most)", "a discount is too large"),
    Mutation("timeline.py", "-gross, -off", "gross, -off", "a credit charges"),
    Mutation("timeline.py", "if claim.due_on <= until", "if claim.due_on < until", "what is due today waits"),
    Mutation("statement.py", "entry.gross - gross", "entry.gross + gross", "what was said is asked for again"),
    Mutation("stretches.py", "self.end == other.start and", "", "terms that are apart are merged"),
    Mutation("phases.py", " or (paid.start == phase.start != before.start)", "", "a change at a boundary waits"),
    Mutation("recurring.py", "12 * exact", "exact", "a year is a month"),
    Mutation("tax.py", "rate.inclusive", "not rate.inclusive", "inclusive and exclusive are swapped"),
    Mutation("tax.py", "100 * of + percent", "100 * of", "tax is taken out of a price as it is put on one"),
    Mutation("tax.py", "net + discount - tax_in_discount", "net + discount", "a discount's tax stays in the gross"),
    Mutation("discounts.py", "left -= part", "left -= 0", "every discount is taken off the whole"),
    Mutation("timeline.py", "abs(whole.gross) - plain", "abs(whole.gross)", "a minimum comes on top"),
    Mutation("timeline.py", "other.start - ONE_DAY if other.kind == CREDIT else other.start", "other.start",
             "a minimum spend does not count what is given back"),
    Mutation("discounts.py", "each if step.reaches(price) else 0", "each", "a discount reaches everything"),
    Mutation("stretches.py", "if phase.start > reach", "if phase.start > until", "a known end is paid for first"),
)  # fmt: skip


def caught(mutation: Mutation, copy: Path) -> bool:
    """Whether the tests fail on a copy with this mistake in it."""
    path = copy / "billing" / "maths" / mutation.file
    text = path.read_text()
    if mutation.right not in text:
        raise SystemExit(f"{mutation.file} no longer says {mutation.right!r}: bring this list up to date")
    path.write_text(text.replace(mutation.right, mutation.wrong, 1))
    try:
        return _tests_fail(copy)
    finally:
        path.write_text(text)


def _tests_fail(copy: Path) -> bool:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:django", "--no-header",
         "-o", "addopts=", "--confcutdir", "tests/billing/maths", "tests/billing/maths"],
        cwd=copy, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode not in (0, 1):
        raise SystemExit(run.stdout[-3000:] + run.stderr[-3000:])
    return run.returncode == 1


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "billing" / "maths", copy / "billing" / "maths")
        (copy / "billing" / "__init__.py").touch()
        shutil.copytree(ROOT / "tests" / "billing" / "maths", copy / "tests" / "billing" / "maths")
        shutil.copytree(ROOT / "docs", copy / "docs")
        if _tests_fail(copy):
            raise SystemExit("The tests fail without any mistake.")
        missed = 0
        for mutation in MUTATIONS:
            noticed = caught(mutation, copy)
            missed += not noticed
            print(f"{'caught' if noticed else 'MISSED':7} {mutation.file:14} {mutation.words}", flush=True)
    print(f"{len(MUTATIONS) - missed} of {len(MUTATIONS)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
