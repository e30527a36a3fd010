"""An invoice as PDF/A-3 with its XML, against bare WeasyPrint of the same HTML.

    python benchmarks/bench_papers.py [--n ROUNDS]

Both sides share typefaces, style sheet and a fetcher that fetches nothing; the bare side typesets finished
HTML as a plain PDF, ours starts from the paper: check, HTML, XML, tags, PDF/A, embedding. The sides take
turns in every round, and the ratio is that of their medians. A third column shows what a process of its own
adds. The exit status is 1 when a ratio is over the budget.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from billing.papers import isolated, render
from billing.papers.data import InvoicePaper
from billing.papers.press import press
from tests.billing.papers import samples

BUDGET = 1.3
LINES = (2, 20)


def bare(html: str) -> bytes:
    """What WeasyPrint alone needs for the HTML."""
    machine = press()
    pdf: bytes = machine.document(html, {}).write_pdf(
        font_config=machine.fonts, stylesheets=machine.styles("")
    )
    return pdf


def taken(work: Callable[[], bytes]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def measured(paper: InvoicePaper, rounds: int) -> list[list[float]]:
    """Milliseconds of each side in each round, after one unmeasured round."""
    html = render.html(paper)
    sides = (lambda: bare(html), lambda: render.invoice_pdf(paper), lambda: isolated.render_isolated(paper))
    turns = [[taken(side) for side in sides] for _ in range(rounds + 1)]
    return [list(side) for side in zip(*turns[1:], strict=True)]


def shown(values: list[float]) -> str:
    quarters = statistics.quantiles(values, n=4)
    return f"{statistics.median(values):7.1f} ({quarters[0]:.0f}-{quarters[2]:.0f})"


def report(count: int, rounds: int) -> bool:
    """Print one row; whether it kept the budget."""
    limit, ours, apart = measured(samples.long_invoice(count), rounds)
    ratio = statistics.median(ours) / statistics.median(limit)
    beside = statistics.median(apart) / statistics.median(limit)
    print(
        f"{count:5} lines  bare {shown(limit)} ms  ours {shown(ours)} ms  ratio {ratio:.2f} (budget {BUDGET})"
        f"  own process {shown(apart)} ms  {beside:.2f}"
    )
    return ratio <= BUDGET


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=15, help="rounds, at least 5 (15)")
    rounds = max(parser.parse_args().n, 5)
    kept = [report(count, rounds) for count in LINES]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
