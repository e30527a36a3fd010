"""Sales over the HTTP API: leads, signals, handoff tasks, deals, quotes and the figures of the hybrid motion."""

from billing.api import problems
from sales import accepting, comparing, drafting, quoting

problems.STATUS.update(
    {
        accepting.QuoteClosed: 409,
        accepting.PurchaseOnItsWay: 409,
        comparing.ChangedMeanwhile: 409,
        drafting.NotEditable: 409,
        quoting.NeedsApproval: 409,
        quoting.TooManyOptions: 409,
    }
)
