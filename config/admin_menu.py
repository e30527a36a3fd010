"""The admin's menu: what people work with, in the order of their work; the rest is under Set-up."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.urls import NoReverseMatch, reverse

# heading -> (label, icon, a model as "app.Model" or the name of an address). What is not registered, or what
# the reader may not see, is left out.
SECTIONS: dict[str, list[tuple[str, str, str]]] = {
    "": [("Overview", "layout-dashboard", "admin:index")],
    "Sell": [
        ("Tasks", "inbox", "sales.HandoffTask"),
        ("Signals", "zap", "sales.Signal"),
        ("Customers", "building-2", "billing.Customer"),
        ("Leads", "user-plus", "sales.Lead"),
        ("Deals", "kanban", "sales.Deal"),
        ("Quotes", "file-text", "sales.Quote"),
        ("Automations", "repeat", "sales.Automation"),
        ("Checkouts", "shopping-cart", "checkout.CheckoutSession"),
    ],
    "Bill": [
        ("Subscriptions", "repeat", "billing.Subscription"),
        ("Invoices", "receipt-text", "billing.Invoice"),
        ("Credit notes", "undo-2", "billing.CreditNote"),
        ("Payments", "wallet", "billing.Payment"),
        ("Disputes", "scale", "billing.Dispute"),
        ("Sign-offs", "circle-check", "billing.SignOff"),
        ("Usage", "activity", "billing.UsageDay"),
        ("Billing runs", "refresh-cw", "billing.BillingRun"),
        ("Not billed", "triangle-alert", "billing.BillingFailure"),
        ("Dry runs", "eye", "billing.BillingRehearsal"),
    ],
    "Learn": [
        ("Metrics", "chart-line", "admin:metrics"),
        ("Who did what", "list", "admin:audit"),
        ("Events", "history", "billing.Event"),
        ("Mails", "mail", "billing.Mail"),
        ("Mail templates", "scroll-text", "admin:mails"),
        ("Privacy requests", "shield-check", "billing.PrivacyRequest"),
    ],
    "Develop": [
        ("Webhooks", "webhook", "billing.WebhookEndpoint"),
        ("Deliveries", "send", "billing.WebhookDelivery"),
        ("API keys", "key-round", "billing.ApiKey"),
        ("Test clocks", "alarm-clock", "billing.TestClock"),
    ],
    "Catalogue": [
        ("Plans", "layers", "billing.Plan"),
        ("Prices", "tag", "billing.Price"),
        ("Meters", "gauge", "billing.Meter"),
        ("Discounts", "ticket-percent", "billing.Discount"),
    ],
}  # fmt: skip
# Below those, folded, without pictures.
FOLDED: dict[str, list[tuple[str, str, str]]] = {
    "Set-up": [
        ("Seller", "", "billing.Seller"),
        ("Tax rates", "", "billing.TaxRate"),
        ("Segments", "", "billing.Segment"),
        ("Routing rules", "", "checkout.RoutingRule"),
        ("Signal rules", "", "sales.Rule"),
        ("Sales settings", "", "sales.SalesSettings"),
        ("Target domains", "", "sales.TargetDomain"),
        ("Target profiles", "", "sales.TargetProfile"),
        ("Approval rules", "", "sales.ApprovalRule"),
        ("Approval delegates", "", "sales.ApprovalDelegate"),
        ("Retention rules", "", "billing.RetentionRule"),
    ],
    "People": [
        ("Users", "", "billing.User"),
        ("Groups", "", "auth.Group"),
        ("E-mail addresses", "", "account.EmailAddress"),
        ("Second factors", "", "mfa.Authenticator"),
    ],
    "Jobs": [
        ("Waiting", "", "django_q.OrmQ"),
        ("Failed", "", "django_q.Failure"),
        ("Done", "", "django_q.Success"),
        ("Every so often", "", "django_q.Schedule"),
    ],
}


# Pages that are no model's are shown to whoever may look at what they tell of.
TELLS_OF = {"admin:metrics": "billing.Invoice", "admin:audit": "billing.Event", "admin:mails": "billing.Mail"}
# The provider's mirror is for looking things up, not for work.
MIRROR = "djstripe"


@dataclass(frozen=True)
class Item:
    label: str
    href: str
    icon: str = ""
    current: bool = False


@dataclass(frozen=True)
class Section:
    heading: str
    items: list[Item] = field(default_factory=list)
    folded: bool = False

    @property
    def current(self) -> bool:
        return any(item.current for item in self.items)


def menu(apps: list[dict], path: str) -> list[Section]:
    """Sections for one reader. `apps` is `AdminSite.get_app_list`: only what the reader may see."""
    models = {f"{app['app_label']}.{model['object_name']}": model for app in apps for model in app["models"]}
    named = [Section(heading, list(_items(rows, models, path))) for heading, rows in SECTIONS.items()]
    folded = [
        Section(heading, list(_items(rows, models, path)), folded=True) for heading, rows in FOLDED.items()
    ]
    shown = {target for rows in (*SECTIONS.values(), *FOLDED.values()) for _, _, target in rows}
    rest = {key: model for key, model in models.items() if key not in shown and model["admin_url"]}
    mirror = [key for key in rest if key.startswith(f"{MIRROR}.")]
    last = [
        Section("Other", [_plain(rest[key], path) for key in rest if key not in mirror], folded=True),
        Section("Stripe mirror", [_plain(rest[key], path) for key in mirror], folded=True),
    ]
    return [section for section in [*named, *folded, *last] if section.items]


def _plain(model: dict, path: str) -> Item:
    return Item(str(model["name"]), model["admin_url"], "", _on(model["admin_url"], path))


def _items(rows: list[tuple[str, str, str]], models: dict[str, dict], path: str) -> Iterator[Item]:
    for label, icon, target in rows:
        href = _address(target, models)
        if href:
            yield Item(label, href, icon, _on(href, path))


def _address(target: str, models: dict[str, dict]) -> str | None:
    if ":" not in target:
        return models.get(target, {}).get("admin_url")
    if target in TELLS_OF and TELLS_OF[target] not in models:
        return None
    try:
        return reverse(target)
    except NoReverseMatch:
        return None


def _on(href: str, path: str) -> bool:
    return path == href or (path.startswith(href) and href.count("/") > 2)
