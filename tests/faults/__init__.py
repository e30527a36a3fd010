"""The kill harness: real processes on a real database, killed anywhere, and then the books are looked at.

    python -m tests.faults --kills 1000 --seed 7        the long form; `make faults`
    python -m tests.faults --planted                    bugs put in on purpose, each of which must be found

Nothing in the product knows of it: points at which a process dies are put around its functions from here (`points`),
so there is no switch that could be left on.

- `provider`: the stand-in for Stripe in a process of its own. It survives every kill and keeps its own list.
- `receiver`: takes webhooks, in a process of its own, and keeps what it saw.
- `world`: customers, cards, subscriptions. Its time moves on with every kill, so work never ends.
- `work`: what a worker does until it is killed.
- `kills`, `stops`, `races`, `retries`, `outages`, `restoring`, `failover`, `anything`: the rounds.
- `clusters`, `clients`: servers that can be crashed, followed and promoted; whoever comes by HTTP meanwhile.
- `judging`: afterwards, the books, the provider's list against ours, the receiver's against ours.
- `bugs`: planted mistakes.
"""
