"""Sales' tables. One file per subject; import from here."""

from sales.models.allowances import PaymentException
from sales.models.automations import Automation, AutomationRun, CustomerTag
from sales.models.deals import Deal
from sales.models.leads import Lead, TargetDomain, TargetProfile
from sales.models.quotes import (
    Approval,
    ApprovalDelegate,
    ApprovalRule,
    Quote,
    QuoteComment,
    QuoteLine,
    QuoteRamp,
    Role,
)
from sales.models.signals import (
    EngagementScore,
    HandoffTask,
    Rule,
    SalesSettings,
    Signal,
    WeighedEvent,
    Weight,
)

__all__ = [
    "Approval", "ApprovalDelegate", "ApprovalRule", "Automation", "AutomationRun",
    "CustomerTag", "Deal", "EngagementScore", "HandoffTask", "Lead", "PaymentException", "Quote",
    "QuoteComment", "QuoteLine", "QuoteRamp", "Role", "Rule", "SalesSettings", "Signal", "TargetDomain",
    "TargetProfile", "WeighedEvent", "Weight",
]  # fmt: skip
