"""The public addresses: prices, checkout, contact."""

from django.urls import path, re_path

from checkout.views import contact, invoices, paying, pricing

INVOICE = r"^invoices/(?P<token>[A-Za-z0-9_.-]{20,200})/"
SESSION = r"^checkout/(?P<token>[A-Za-z0-9_-]{20,64})/"

app_name = "checkout"
urlpatterns = [
    path("pricing/", pricing.pricing, name="pricing"),
    path("contact-sales/", contact.contact, name="contact"),
    path("contact-sales/thanks/", contact.thanks, name="contact_thanks"),
    path("checkout/start/", pricing.start, name="start"),
    re_path(INVOICE + r"$", invoices.show, name="invoice"),
    re_path(INVOICE + r"pay/$", invoices.pay, name="invoice_pay"),
    re_path(INVOICE + r"check/$", invoices.check, name="invoice_check"),
    re_path(INVOICE + r"invoice.pdf$", invoices.paper, name="invoice_pdf"),
    re_path(
        INVOICE + r"credit-notes/(?P<pk>[a-z0-9_]{1,60})/credit-note.pdf$",
        invoices.credit_note,
        name="invoice_credit_note",
    ),
    re_path(SESSION + r"$", paying.session, name="session"),
    re_path(SESSION + r"return/$", paying.back_from_bank, name="return"),
    re_path(SESSION + r"check/$", paying.check, name="check"),
    re_path(SESSION + r"another-card/$", paying.another_card, name="another_card"),
    re_path(SESSION + r"again/$", paying.again, name="again"),
    re_path(SESSION + r"receipt/$", paying.receipt, name="receipt"),
    re_path(SESSION + r"invoice.pdf$", paying.paper, name="paper"),
]
