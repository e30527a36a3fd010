"""Every address of the HTTP API, under /api/v1/."""

from django.urls import path, re_path

from billing.api import clocks, customers, docs, events, invoices, plans, portal, subscriptions, usage

urlpatterns = [
    path("schema/", docs.schema, name="api_schema"),
    path("docs/", docs.page, name="api_docs"),
    path("customers", customers.Customers.as_view()),
    path("customers/<str:customer>", customers.CustomerDetail.as_view()),
    path("customers/<str:customer>/timeline", customers.CustomerTimeline.as_view()),
    path("customers/<str:customer>/usage", customers.CustomerUsage.as_view()),
    path("customers/<str:customer>/entitlements", customers.CustomerEntitlements.as_view()),
    path("customers/<str:customer>/members", customers.Members.as_view()),
    path("customers/<str:customer>/members/<str:member>", customers.MemberDetail.as_view()),
    path("customers/<str:customer>/payment_methods", customers.PaymentMethods.as_view()),
    path(
        "customers/<str:customer>/payment_methods/<str:payment_method>",
        customers.PaymentMethodDetail.as_view(),
    ),
    path("plans", plans.Plans.as_view()),
    path("plans/<str:plan>", plans.PlanDetail.as_view()),
    path("subscriptions", subscriptions.Subscriptions.as_view()),
    path("subscriptions/<str:subscription>", subscriptions.SubscriptionDetail.as_view()),
    path("subscriptions/<str:subscription>/changes/preview", subscriptions.ChangePreview.as_view()),
    path("subscriptions/<str:subscription>/changes", subscriptions.Changes.as_view()),
    path("subscriptions/<str:subscription>/cancel", subscriptions.Cancel.as_view()),
    path("subscriptions/<str:subscription>/undo_cancel", subscriptions.UndoCancel.as_view()),
    path("usage_events", usage.UsageEvents.as_view()),
    path("usage_events/<str:key>/void", usage.UsageVoid.as_view()),
    path("usage", usage.Usage.as_view()),
    path("invoices", invoices.Invoices.as_view()),
    path("invoices/upcoming", invoices.Upcoming.as_view()),
    path("invoices/<str:invoice>", invoices.InvoiceDetail.as_view()),
    path("invoices/<str:invoice>/pdf", invoices.InvoicePdf.as_view()),
    path("invoices/<str:invoice>/mark_paid", invoices.MarkPaid.as_view()),
    path("invoices/<str:invoice>/pay", invoices.Pay.as_view()),
    path("payments", invoices.Payments.as_view()),
    path("payments/<str:payment>", invoices.PaymentDetail.as_view()),
    path("events", events.Events.as_view()),
    path("events/<str:event>", events.EventDetail.as_view()),
    path("test_clocks", clocks.Clocks.as_view()),
    path("test_clocks/<str:clock>", clocks.ClockDetail.as_view()),
    path("test_clocks/<str:clock>/advance", clocks.Advance.as_view()),
    path("portal_sessions", portal.PortalSessions.as_view()),
    re_path("", docs.nowhere),
]
