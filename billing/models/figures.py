"""What the figures of the hybrid motion are added up from. Triggers keep both tables in the transaction of whatever
changes a figure: see `docs/decisions/0031-figures-kept-by-the-writer.md`, and `billing/figures.py`."""

from django.db import models

from billing.models.customers import Customer, Motion


class Counted(models.Model):
    """A summand of one figure on one day of UTC; amounts are minor units of `currency`.

    | name | month | day | motion | detail | number, amount, later |
    | --- | --- | --- | --- | --- | --- |
    | revenue | of the day | issued | of the invoice | | invoices, net, - |
    | mrr | of the day | moved | | kind | movements, MRR, ARR |
    | began | of the day | first paid | of what was paid | | customers, -, - |
    | converted | of the first payment | sales took it further | | | customers, -, - |
    | expansion | in which MRR began or (below zero) ended | first of its month | of the movement | cause | -, MRR, - |
    | landed | of the day | a year old | | stayed, left | customers, ARR at close, ARR at month 12 |
    """

    class Name(models.TextChoices):
        REVENUE = "revenue", "Revenue"
        MRR = "mrr", "MRR"
        BEGAN = "began", "Began"
        CONVERTED = "converted", "Converted"
        EXPANSION = "expansion", "Expansion"
        LANDED = "landed", "Landed"

    id = models.BigAutoField(primary_key=True)
    livemode = models.BooleanField()
    currency = models.CharField(max_length=3)
    name = models.CharField(max_length=9, choices=Name.choices)
    month = models.DateField()
    day = models.DateField()
    motion = models.CharField(max_length=20, choices=Motion.choices, blank=True)
    detail = models.CharField(max_length=12, blank=True)
    number = models.BigIntegerField()
    amount = models.BigIntegerField()
    later = models.BigIntegerField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.name} {self.day} {self.amount} {self.currency}"


class Figure(Counted):
    """Several rows may say the same thing on the same day: they count together, and a job makes them one. So nobody
    who writes waits for anybody."""

    class Meta:
        indexes = [models.Index(fields=["livemode", "currency", "name", "day"], name="figure_by_day")]


class CustomerFigure(Counted):
    """What a customer's whole history brings to the figures that are not simply added up: it is taken out again when
    the history says something else."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="figures", db_index=False)

    class Meta:
        indexes = [models.Index(fields=["customer", "name"], name="figure_by_customer")]
