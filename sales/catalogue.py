"""What sales ships with: the rules table, approval rules, groups with permissions, the quote numbers.

`ship` may be called any number of times; it adds what is missing and changes nothing that staff edited.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from billing.catalogue import add_missing
from billing.models import NumberSeries
from sales.models import ApprovalRule, Automation, Role, Rule, SalesSettings, Weight

QUOTE_SERIES = "quotes"

HIGH, MEDIUM = Weight.HIGH, Weight.MEDIUM

RULES: list[dict[str, Any]] = [
    {
        "code": "demo_requested", "name": "Demo requested", "weight": HIGH,
        "description": "somebody asks for a demo by form, portal or API",
        "action": "Route to sales",
    },
    {
        "code": "company_size", "name": "Company size", "weight": MEDIUM,
        "description": "a company has more employees than the threshold",
        "threshold": 100, "unit": "employees",
        "action": "Assign an account owner",
    },
    {
        "code": "usage_near_limit", "name": "Usage near limit", "weight": HIGH,
        "description": "more than the threshold of a limit or tier is used",
        "threshold": 80, "unit": "percent",
        "action": "Expansion offer",
    },
    {
        "code": "target_domain", "name": "Domain on target list", "weight": HIGH,
        "description": "the domain or a parent of it is on the target list",
        "action": "Immediate outreach",
    },
    {
        "code": "same_domain", "name": "Same domain", "weight": MEDIUM,
        "description": "as many accounts as the threshold share a business domain",
        "threshold": 2, "unit": "accounts",
        "action": "Account consolidation",
    },
    {
        "code": "team_of_ten", "name": "Team of ten", "weight": MEDIUM,
        "description": "the team reaches the threshold",
        "threshold": 10, "unit": "members", "window_days": 30,
        "action": "Expansion outreach",
    },
    {
        "code": "team_growing", "name": "Team growing", "weight": MEDIUM,
        "description": "as many members as the threshold were added since sign-up",
        "threshold": 5, "unit": "members",
        "action": "Personal e-mail",
    },
    {
        "code": "target_profile", "name": "Target industry or size", "weight": MEDIUM,
        "description": "industry and size match a target profile",
        "action": "Outreach",
    },
    {
        "code": "upgraded_in_app", "name": "Upgraded in the app", "weight": MEDIUM,
        "description": "the customer changes plan or seats and pays more",
        "action": "Thank you and check-in",
    },
    {
        "code": "large_upgrade", "name": "Large upgrade", "weight": HIGH,
        "description": "ARR reaches the threshold, or MRR gains more than the seller's setting",
        "threshold": 10_000, "unit": "ARR, major units",
        "action": "Sales is told; the upgrade still happens",
    },
    {
        "code": "enterprise_features", "name": "Enterprise features viewed", "weight": MEDIUM,
        "description": "features above the plan are viewed as often in the window",
        "threshold": 2, "unit": "views", "window_days": 7,
        "action": "Demo invitation",
    },
    {
        "code": "engagement", "name": "Engagement", "weight": MEDIUM,
        "description": "the engagement score reaches the threshold",
        "threshold": 70, "unit": "of 100", "window_days": 30,
        "action": "Outreach",
    },
    {
        "code": "renewal_approaching", "name": "Renewal approaching", "weight": MEDIUM,
        "description": "a contract ends in 90, 60 or 30 days",
        "action": "Renewal discussion",
    },
    {
        "code": "wants_annual", "name": "Monthly wants annual", "weight": MEDIUM,
        "description": "annual prices are asked for, or viewed as often in the window",
        "threshold": 2, "unit": "views", "window_days": 30,
        "action": "Commitment discount",
    },
]  # fmt: skip

# What a rep writes to the customer, by the rule of the signal: subject and words.
LETTERS = {
    "team_growing": (
        "Your team is growing",
        "Hello,\n\nyour team on {customer.name} has grown. Shall we look at what would suit you now?",
    ),
    "upgraded_in_app": (
        "Thank you",
        "Hello,\n\nthank you for the upgrade of {customer.name}. Is there anything that we can help you with?",
    ),
}

APPROVALS = [
    # name, measure, over, role, step: a director is asked once a manager has agreed
    ("Discount over 20 %", ApprovalRule.Measure.DISCOUNT, 20, Role.MANAGER, 1),
    ("Discount over 35 %", ApprovalRule.Measure.DISCOUNT, 35, Role.DIRECTOR, 2),
    ("Payment that the segment does not allow", ApprovalRule.Measure.PAYMENT, None, Role.MANAGER, 1),
]

# Whose permissions are shipped; names of rows, so that no code of theirs is needed here.
APPS = ["billing", "sales", "checkout"]

REPS, MANAGERS, DIRECTORS, FINANCE, SUPPORT, READ_ONLY, ADMINS = (
    "Sales reps", "Sales managers", "Directors", "Finance", "Support", "Read-only", "Admins",
)  # fmt: skip

SELLING = [
    "billing.send_mail",
    "sales.change_lead", "sales.add_lead", "sales.work_handofftask", "sales.change_handofftask",
    "sales.dismiss_signal", "sales.add_deal", "sales.change_deal", "sales.add_quote", "sales.change_quote",
    "sales.send_quote", "sales.add_quoteline", "sales.change_quoteline", "sales.delete_quoteline",
    "sales.add_quoteramp", "sales.change_quoteramp", "sales.delete_quoteramp", "sales.add_quotecomment",
    "checkout.unlock_checkout", "checkout.add_checkoutsession", "billing.change_customer", "sales.add_targetdomain",
]  # fmt: skip
MANAGING = [
    *SELLING, "sales.approve_quote", "billing.approve_payment_rule", "billing.pin_segment",
    "billing.consolidate_customer",
    "sales.change_rule", "sales.change_salessettings", "sales.change_targetdomain",
    "sales.delete_targetdomain", "sales.add_targetprofile", "sales.change_targetprofile",
    "sales.delete_targetprofile", "billing.change_segment", "sales.add_automation", "sales.change_automation",
    "sales.delete_automation", "sales.add_approvaldelegate", "sales.change_approvaldelegate",
    "sales.delete_approvaldelegate", "checkout.add_routingrule", "checkout.change_routingrule",
    "checkout.delete_routingrule",
]  # fmt: skip
DIRECTING = [
    *MANAGING,
    "sales.approve_quote_as_director",
    "sales.add_approvalrule",
    "sales.change_approvalrule",
    "billing.give_sign_off",
]
# What is sold and for how much: finance's to say, not of those who are paid for selling it.
PRICING = [
    *(
        f"billing.{act}_{model}"
        for model in ("plan", "price", "entitlement", "meter", "discount")
        for act in ("add", "change")
    ),
    "billing.delete_entitlement",
]
ACCOUNTING = [
    "billing.send_mail",
    "billing.record_payment",
    "billing.void_invoice",
    "billing.give_sign_off",
    "billing.change_taxrate",
    "billing.add_taxrate",
    "billing.add_exchangerate",
    "billing.add_billingrehearsal",
    "billing.delete_billingfailure",  # what was put right is billed again
    *PRICING,
]
SUPPORTING = ["billing.send_mail", "billing.change_customer", "billing.add_member", "billing.change_member"]
# Keys, endpoints and their deliveries, test clocks.
DEVELOPED = ("apikey", "webhookendpoint", "testclock")
DEVELOPING = [f"billing.{act}_{model}" for model in DEVELOPED for act in ("add", "change", "delete")]
# What is held about people: told to them, and forgotten.
KEEPING_PRIVATE = [
    "billing.add_privacyrequest",
    "billing.export_person",
    "billing.erase_person",
    "billing.change_retentionrule",
]
PERMISSIONS: dict[str, list[str]] = {
    REPS: SELLING,
    MANAGERS: MANAGING,
    DIRECTORS: DIRECTING,
    FINANCE: ACCOUNTING,
    SUPPORT: SUPPORTING,
    READ_ONLY: [],
    ADMINS: [*DIRECTING, *ACCOUNTING, *SUPPORTING, *DEVELOPING, *KEEPING_PRIVATE],
}


def ready_made() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(code, name, fields) of an automation for each rule, switched off: its action as a task of its own.

    The score raises a task when enough has come together; whoever wants one for every finding switches these on.
    """
    for row in RULES:
        condition = f'event.data.rule == "{row["code"]}"'
        action = {
            "kind": "task",
            "text": f"{row['action']}: {{customer.name}}",
            "body": "{event.data.sentence}",
            "to": "",
        }
        fields = {"trigger": "signal.created", "condition": condition, "actions": [action]}
        yield f"rule-{row['code']}", f"{row['name']}: {row['action'].lower()}", fields
    personal = {
        "kind": "mail", "to": "owner", "text": "{customer.name} is growing: write to them",
        "body": f"A draft:\n\n{LETTERS['team_growing'][1]}",
    }  # fmt: skip
    growing = {
        "trigger": "signal.created",
        "condition": 'event.data.rule == "team_growing"',
        "actions": [personal],
    }
    yield "draft-team-growing", "Team growing: a draft of the personal e-mail", growing


@transaction.atomic
def ship(*, now: datetime) -> None:
    """Add whatever of it is missing. Needs the permissions, so it runs after migrations."""
    add_missing([NumberSeries(code=QUOTE_SERIES, prefix="Q-")])
    add_missing([SalesSettings(pk=1)])
    add_missing(Rule(**row, position=position) for position, row in enumerate(RULES, 1))
    add_missing(
        Automation(shipped_code=code, name=name, created_at=now, **row) for code, name, row in ready_made()
    )
    add_missing(
        ApprovalRule(name=name, measure=measure, over=over, role=role, step=step, position=position)
        for position, (name, measure, over, role, step) in enumerate(APPROVALS, 1)
    )
    _ship_groups()


def _ship_groups() -> None:
    """Everybody on the staff may look at all of it; what a group may do besides is listed above.

    A permission is given to a group once: what came with a later release is added, what an operator took away stays away.
    """
    known = {
        f"{p.content_type.app_label}.{p.codename}": p
        for p in Permission.objects.filter(content_type__app_label__in=APPS).select_related("content_type")
    }
    looking = [name for name in known if name.partition(".")[2].startswith("view_")]
    row = SalesSettings.objects.select_for_update().get(pk=1)
    there = set(Group.objects.filter(name__in=PERMISSIONS).values_list("name", flat=True))
    add_missing(Group(name=name) for name in PERMISSIONS if name not in there)
    groups = {group.name: group for group in Group.objects.filter(name__in=PERMISSIONS)}
    links = []
    for name, wanted in PERMISSIONS.items():
        given = set(row.given_permissions.get(name, [])) if name in there else set()
        links += [_link(groups[name], known[each]) for each in {*looking, *wanted} - given]
        row.given_permissions[name] = sorted(given.union(looking, wanted))
    add_missing(links)
    row.save(update_fields=["given_permissions"])


def _link(group: Group, permission: Permission) -> Any:
    return Group.permissions.through(group=group, permission=permission)
