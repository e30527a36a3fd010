"""Addresses of the customer portal, under `/portal/`."""

from django.urls import path

from portal.views import entering, helping, invoices, overview, pausing, payment, plan, quotes, team, usage

app_name = "portal"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("choose/", entering.choose, name="choose"),
    path("enter/<str:token>/", entering.enter, name="enter"),
    path("leave/", entering.leave, name="leave"),
    path("usage/", usage.usage, name="usage"),
    path("invoices/", invoices.invoices, name="invoices"),
    path("invoices/<str:pk>/", invoices.invoice, name="invoice"),
    path("invoices/<str:pk>/pdf/", invoices.paper, name="invoice_pdf"),
    path("invoices/<str:pk>/pay/", invoices.pay, name="pay"),
    path("invoices/<str:pk>/check/", invoices.check, name="check"),
    path("credit-notes/<str:pk>/pdf/", invoices.credit_note, name="credit_note_pdf"),
    path("team/", team.team, name="team"),
    path("team/<str:pk>/role/", team.role, name="role"),
    path("team/<str:pk>/remove/", team.remove, name="remove_member"),
    path("plan/", plan.plan, name="plan"),
    path("plan/features/", plan.features, name="features"),
    path("plan/<str:pk>/", plan.change, name="change"),
    path("plan/<str:pk>/confirm/", plan.confirm, name="confirm"),
    path("plan/<str:pk>/cancel/", plan.cancel, name="cancel"),
    path("plan/<str:pk>/keep/", plan.keep, name="keep"),
    path("plan/<str:pk>/unplan/", plan.unplan, name="unplan"),
    path("plan/<str:pk>/pause/", pausing.pause, name="pause"),
    path("plan/<str:pk>/resume/", pausing.resume, name="resume"),
    path("payment/", payment.payment, name="payment"),
    path("payment/card/", payment.card, name="card"),
    path("payment/card/back/", payment.card_back, name="card_back"),
    path("payment/cards/<str:pk>/default/", payment.default, name="default_card"),
    path("payment/cards/<str:pk>/remove/", payment.remove, name="remove_card"),
    path("payment/method/", payment.method, name="method"),
    path("details/", payment.details, name="details"),
    path("quotes/", quotes.quotes, name="quotes"),
    path("help/", helping.helping, name="help"),
]
