"""The one Django signal of Tandem: `recorded(events=[Event, …], awaited=…)`, sent inside the transaction of the facts.
`awaited` says whether any webhook endpoint wants events.

Packages above `billing` connect to it in their AppConfig and do no more than enqueue jobs: a receiver that
raises rolls the fact back with it.
"""

from django.dispatch import Signal

recorded = Signal()
