"""Money, periods, pricing, proration and tax: pure values, standard library only.

Nothing in this package reads a clock, a database or a setting. docs/billing-maths.md tells the rules in
tables of cents that a test replays.
"""
