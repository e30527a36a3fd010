"""Options: made, agreed to, sent and answered together; one of them is signed, once."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.mail import attachments
from billing.models import Event, Invoice, Mail, Subscription
from billing.refusals import Refused
from sales import approving, comparing, offering, quoting
from sales.models import Deal, Quote
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.usefixtures("sales_catalogue", "fake_print")


@pytest.fixture
def pair(make_customer, draft):
    """pair(discount_percent=…) -> options A (one year) and B (three years with other terms), drafts."""

    def make(**terms):
        first = draft(customer=make_customer(name="Nova"), quantity=60)
        given = {
            "name": "Three years",
            "term_months": 36,
            "discount_percent": Decimal(10),
            "recommended": True,
        }
        second = quoting.add_option(quote=first, now=NOON, actor="user:1", **{**given, **terms})
        first = quoting.edit(quote=first, now=NOON, actor="user:1", option_name="One year")
        return first, Quote.objects.get(pk=second.pk)

    return make


@pytest.fixture
def out(pair):
    """Both options, sent."""

    def make(**terms):
        first, second = pair(**terms)
        quoting.send(quote=first, now=NOON, actor="user:1")
        return Quote.objects.get(pk=first.pk), Quote.objects.get(pk=second.pk)

    return make


# -- Made


def test_an_option_is_a_copy_with_other_terms(pair):
    first, second = pair()
    assert [str(first), str(second)] == ["Q-000001 A", "Q-000001 B"]
    assert (first.tcv, second.tcv) == (59400_00, 3 * 53460_00)
    assert (second.option_words, second.contact_email, second.expires_at) == (
        "Option B: Three years", first.contact_email, first.expires_at
    )  # fmt: skip
    assert Deal.objects.get().amount == second.acv == 53460_00


def test_three_are_enough(pair):
    first, second = pair()
    quoting.add_option(quote=second, now=NOON, actor="user:1")
    with pytest.raises(quoting.TooManyOptions):
        quoting.add_option(quote=first, now=NOON, actor="user:1")
    assert [each.option for each in first.options()] == ["A", "B", "C"]


def test_one_recommendation_stands(pair):
    first, second = pair()
    quoting.edit(quote=first, now=NOON, actor="user:1", recommended=True)
    assert [each.recommended for each in first.options()] == [True, False]
    with pytest.raises(IntegrityError), transaction.atomic():
        Quote.objects.filter(pk=second.pk).update(recommended=True)


def test_a_plain_quote_has_no_name_to_choose_it_by(make_customer, draft):
    with pytest.raises(quoting.InvalidQuote) as refusal:
        quoting.edit(quote=draft(customer=make_customer()), now=NOON, actor="user:1", recommended=True)
    assert refusal.value.field == "option_name"


def test_who_and_until_when_are_the_same_for_all(pair):
    first, second = pair()
    day = NOON + timedelta(days=9)
    quoting.edit(quote=second, now=NOON, actor="user:1", contact_email="cfo@nova.example", expires_at=day)
    assert {(each.contact_email, each.expires_at) for each in first.options()} == {("cfo@nova.example", day)}


def test_options_move_up_when_one_is_removed(pair):
    first, second = pair()
    third = quoting.add_option(quote=second, now=NOON, actor="user:1", name="Five years", term_months=60)
    left = quoting.remove_option(quote=first, now=NOON, actor="user:1")
    assert left.pk == second.pk
    assert [(each.pk, each.option) for each in left.options()] == [(second.pk, "A"), (third.pk, "B")]
    alone = quoting.remove_option(quote=left, now=NOON, actor="user:1")
    assert (alone.pk, alone.option, alone.option_name) == (third.pk, "", "")
    with pytest.raises(quoting.NoOption):
        quoting.remove_option(quote=alone, now=NOON, actor="user:1")


# -- Agreed to


def test_the_rules_look_at_every_option(pair, staff):
    first, second = pair(discount_percent=Decimal(25))
    with pytest.raises(quoting.NeedsApproval, match="Option B: Three years, Discount over 20 %: 25\u00a0%"):
        quoting.send(quote=first, now=NOON, actor="user:1")
    quoting.submit(quote=first, now=NOON, actor="user:1")
    assert [each.state for each in first.options()] == ["approved", "in_approval"]
    assert [each.quote_id for each in approving.due(first)] == [second.pk]
    with pytest.raises(quoting.NeedsApproval):
        quoting.send(quote=first, now=NOON, actor="user:1")
    quoting.approve(quote=first, by=staff("max", "Sales managers"), now=NOON)
    assert [each.state for each in first.options()] == ["approved", "approved"]


def test_a_change_of_one_reopens_all(pair):
    first, second = pair()
    quoting.submit(quote=first, now=NOON, actor="user:1")
    assert {each.state for each in first.options()} == {"approved"}
    quoting.edit(quote=second, now=NOON, actor="user:1", discount_percent=Decimal(30))
    assert {each.state for each in first.options()} == {"draft"}


def test_a_rejection_sends_all_back(pair, staff):
    first, _ = pair(discount_percent=Decimal(25))
    quoting.submit(quote=first, now=NOON, actor="user:1")
    quoting.reject(quote=first, by=staff("max", "Sales managers"), now=NOON, note="Too much")
    assert {each.state for each in first.options()} == {"draft"}
    assert approving.due(first) == []


# -- Sent


def test_one_mail_names_them_all(out, fake_print):
    first, second = out()
    assert (first.state, second.state) == ("sent", "sent")
    assert first.document_id != second.document_id
    assert [(paper.option, paper.option_name) for paper in fake_print] == [
        ("A", "One year"),
        ("B", "Three years"),
    ]
    mail = Mail.objects.get(template="quote_sent")
    assert "Option A: One year: USD 59,400.00" in mail.text.replace("$", "USD ")
    assert "Option B: Three years (recommended)" in mail.text
    assert [paper.pk for paper in attachments(mail)] == [first.document_id, second.document_id]
    assert Event.objects.filter(type="quote.sent").count() == 1


def test_a_difference_is_by_the_year_against_the_recommended(out):
    first, _ = out()
    one, three = comparing.offers(first.options())
    assert (one.more, one.than.option, three.more) == (59400_00 - 53460_00, "B", None)


def test_a_new_version_has_the_same_options(out):
    first, second = out()
    new = quoting.revise(quote=second, now=NOON, actor="user:1", term_months=24)
    assert [(str(each), each.term_months) for each in new.options()] == [
        ("Q-000001 v2 A", 12),
        ("Q-000001 v2 B", 24),
    ]
    assert {each.state for each in first.options()} == {"withdrawn"}
    assert Event.objects.filter(type="quote.withdrawn").count() == 1
    with pytest.raises(quoting.Superseded):
        quoting.refuse_closed(Quote.objects.get(pk=first.pk), now=NOON)


@pytest.mark.parametrize("how", ["withdraw", "decline"])
def test_all_are_closed_together(out, how):
    first, second = out()
    quoting.view(quote=first, now=NOON)
    assert {each.state for each in first.options()} == {"viewed"}
    second.refresh_from_db()
    if how == "decline":
        quoting.decline(quote=second, reason="Too dear", now=NOON)
    else:
        quoting.withdraw(quote=second, now=NOON, actor="user:1")
    assert len({each.state for each in first.options()}) == 1
    assert Event.objects.filter(type__in=["quote.withdrawn", "quote.declined"]).count() == 1


# -- Signed


def test_the_buyer_has_to_choose(out, sign):
    first, _ = out()
    for letter in ("", "C", "a"):
        with pytest.raises(Refused) as refusal:
            sign(first, option=letter)
        assert refusal.value.field == "option"
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("link", [0, 1])
def test_the_chosen_one_becomes_the_subscription(out, sign, fake_print, books, link):
    rows = out()
    signed = sign(rows[link], option="B")
    assert signed.pk == rows[1].pk
    assert [each.state for each in signed.options()] == ["withdrawn", "converted"]
    assert signed.accepted_sha256 == rows[1].document.sha256
    assert (fake_print[-1].option, fake_print[-1].option_name, fake_print[-1].tcv) == (
        "B",
        "Three years",
        160380_00,
    )
    assert Invoice.objects.get().subtotal - Invoice.objects.get().discount_total == 53460_00
    assert Subscription.objects.get().source == rows[1].pk
    fact = Event.objects.get(type="quote.accepted")
    assert fact.data["option"] == "B"
    books()


def test_the_other_links_say_what_was_chosen(out, sign):
    first, _ = out()
    sign(first, option="B")
    for letter in "AB":
        with pytest.raises(quoting.AlreadyAccepted, match="Ada Byron accepted Option B: Three years on"):
            sign(Quote.objects.get(pk=first.pk), option=letter)
    assert Subscription.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_people_choose_at_once(out, sign):
    first, _ = out()

    def choose(letter):
        try:
            return sign(first, option=letter).option
        except Refused as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(choose, "AB"))
    assert answers[1] == "quote_already_accepted"
    assert answers[0] in "AB"
    assert Subscription.objects.count() == Invoice.objects.count() == 1


def test_a_lead_signs_one_of_three(draft, sign):
    from sales import leads

    lead = leads.contact(
        name="Ada", email="ada@nova.example", company="Nova", now=NOON, actor="buyer", source="api"
    )
    first = draft(lead=lead, quantity=60)
    quoting.add_option(quote=first, now=NOON, actor="user:1", quantity=80)
    quoting.add_option(quote=first, now=NOON, actor="user:1", quantity=90)
    quoting.send(quote=first, now=NOON, actor="user:1")
    signed = sign(Quote.objects.get(pk=first.pk), option="C", now=NOON)
    assert {each.customer_id for each in signed.options()} == {signed.customer_id}
    assert offering.chosen(signed, "C").state == "converted"


# -- On the buyer's page, the seller's, and over the API


def page_of(client, quote, **query):
    return client.get(f"/quotes/{quote.token}/", query)


def test_the_page_shows_them_side_by_side(out, client, django_assert_max_num_queries):
    first, second = out()
    page_of(client, first)
    with django_assert_max_num_queries(5):
        page = page_of(client, first, option="B").content.decode()
    for words in (
        "One year",
        "Three years",
        "Recommended",
        "$5,940.00 a year more than option B",
        "Choose option A",
    ):
        assert words in page
    assert page.count('name="option"') == 2
    assert re.search(r'value="B"[^>]* checked', page)
    assert (
        client.get(f"/quotes/{second.token}/quote.pdf")
        .headers["Content-Disposition"]
        .endswith('Q-000001-v1-B.pdf"')
    )


def test_a_form_without_a_choice_keeps_what_was_typed(out, client):
    first, second = out()
    typed = {"name": "Ada Byron", "title": "CFO", "email": "ada@nova.example", "signature": "Ada Byron",
             "agreed": "on", "version": 1, "po_number": "PO-77"}  # fmt: skip
    answer = client.post(f"/quotes/{first.token}/accept/", typed)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Choose one of the options." in page
    assert "PO-77" in page
    assert client.post(f"/quotes/{first.token}/accept/", {**typed, "option": "B"}).status_code == 302
    second.refresh_from_db()
    assert second.state == "converted"
    page = page_of(client, first).content.decode()
    assert "Option B: Three years" in page
    assert second.accepted_sha256 in page
    assert "Accept and sign" not in page


def test_the_portal_counts_them_once(out, client, add_members):
    first, _ = out()
    (member,) = add_members(first.customer, 1)
    client.force_login(member.user)
    page = client.get("/portal/quotes/").content.decode()
    assert page.count("Read and answer") == 1


def test_the_builder_adds_and_removes_an_option(draft, make_customer, client, rita):
    client.force_login(rita)
    quote = draft(customer=make_customer(), quantity=60)
    address = f"/admin/sales/quote/{quote.pk}/change/"
    form = client.get(address).context["form"]
    typed = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    typed = {**typed, "term_months": 24, "action": "option", "new_option": "Two years", "auto_renew": "on"}
    answer = client.post(address, typed)
    first, second = (Quote.objects.get(option=letter) for letter in "AB")
    assert answer.headers["Location"] == f"/admin/sales/quote/{second.pk}/change/"
    assert (first.term_months, second.term_months, second.option_name) == (24, 24, "Two years")
    page = client.get(answer.headers["Location"]).content.decode()
    assert "Options side by side" in page
    assert "Remove option B" in page
    client.post(answer.headers["Location"], {"action": "drop"})
    assert Quote.objects.get().option == ""


def test_the_api_makes_and_reads_options(make_api, make_customer, rita, code):
    api = make_api()
    make_customer(external_id="acme")
    first = api.post("quotes", customer="acme", plan="enterprise", quantity=60).json()
    assert (first["option"], first["options"]) == ("", [])
    path = f"quotes/{first['id']}"
    made = api.post(f"{path}/options", option_name="Three years", term_months=36, recommended=True)
    second = made.json()
    assert (made.status_code, second["option"], second["recommended"]) == (201, "B", True)
    assert api.get(path).json()["options"] == [first["id"], second["id"]] == second["options"]
    assert code(api.post(f"{path}/options", term_months=7)) == (422, "invalid_quote")
    api.post(f"{path}/options")
    assert code(api.post(f"{path}/options")) == (409, "too_many_options")
    assert api.post(f"{path}/remove").json()["id"] == second["id"]
    assert len(api.get("quotes").json()["results"]) == 2
