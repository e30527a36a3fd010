"""The pricing page, and the door into a checkout."""

import re

import pytest

from checkout.models import CheckoutSession

pytestmark = pytest.mark.django_db


def page(client, query="", **headers):
    answer = client.get(f"/pricing/{query}", headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_shows_what_is_sold_and_how(catalogue, client):
    html = page(client)
    assert html.index("Starter") < html.index("Pro") < html.index("Business") < html.index("Enterprise")
    assert "$19<" in html
    assert "$29<" in html
    assert html.count("Choose ") == 2
    assert "Ask for a demo" in html
    assert "Contact sales" in html
    assert "Let’s talk" in html


def test_a_year_says_what_it_saves(catalogue, client):
    html = page(client, "?interval=year")
    assert "$290" in html
    assert "$24.17" in html
    assert "You save $58.00 a year" in html
    assert "save 16%" in html


@pytest.mark.parametrize(
    ("query", "language", "sign"),
    [
        ("", "en-US", "$"), ("?currency=EUR", "en-US", "€"), ("", "de-AT,en;q=0.5", "€"), ("", "de", "$"),
        ("?currency=JPY", "en-US", "$"), ("?currency=%00", "", "$"), ("?interval=%00&currency=eur", "", "€"),
    ],
)  # fmt: skip
def test_it_speaks_the_visitors_money(catalogue, client, query, language, sign):
    assert f"{sign}29<" in page(client, query, accept_language=language)


def test_it_costs_the_same_queries_whatever_is_sold(catalogue, client, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):
        page(client)


def test_a_post_opens_a_checkout(catalogue, client):
    given = {"plan": "pro", "interval": "year", "seats": "7", "currency": "EUR"}
    answer = client.post("/checkout/start/", given)
    made = CheckoutSession.objects.get()
    assert answer["Location"] == f"/checkout/{made.token}/"
    assert (made.plan.code, made.interval, made.quantity, made.currency) == ("pro", "year", 7, "EUR")


def test_a_link_shows_a_button_and_makes_nothing(catalogue, client):
    answer = client.get("/checkout/start/?plan=pro&interval=month&seats=3")
    assert answer.status_code == 200
    assert b"Continue to checkout" in answer.content
    assert not CheckoutSession.objects.exists()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("plan=enterprise", "plan_needs_quote"),
        ("plan=business", "plan_needs_demo"),
        ("plan=x", "unknown_plan"),
        ("plan=pro&seats=0", "invalid_quantity"),
        ("plan=starter&seats=2", "invalid_quantity"),
        ("plan=pro&seats=-1", "invalid_quantity"),
        ("plan=pro&seats=1000000000", "invalid_quantity"),
        ("plan=pro&seats=1.5", "invalid_quantity"),
        ("plan=pro&seats=١٠", "invalid_quantity"),
        ("plan=pro&interval=never", "unknown_price"),
        ("plan=pro&currency=ZZZ", "unknown_price"),
        ("plan=%00", "unknown_plan"),
        ("", "unknown_plan"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_it_says_why_not_by_one_code(catalogue, client, query, code, method):
    from django.http import QueryDict

    send = getattr(client, method)
    answer = (
        send(f"/checkout/start/?{query}")
        if method == "get"
        else send("/checkout/start/", QueryDict(query).dict())
    )
    assert answer.status_code == 422
    expected = {code, "unknown_currency"} if code == "unknown_price" else {code}
    assert any(each in answer.content.decode() for each in expected)
    assert not CheckoutSession.objects.exists()


@pytest.mark.parametrize("query", ["plan=x", "plan=enterprise", "plan=business", "plan=pro&seats=0"])
def test_a_refusal_is_titled_by_what_it_says(catalogue, client, query):
    page = client.get(f"/checkout/start/?{query}").text
    heading = re.search(r"<h1>(.*?)</h1>", page, re.S)[1].strip()
    assert heading
    assert heading in re.search(r"<title>(.*?)</title>", page, re.S)[1]


def test_a_wrong_number_of_seats_is_asked_for_again_with_what_was_asked(catalogue, client):
    given = {"plan": "pro", "interval": "year", "currency": "EUR", "seats": "many"}
    page = client.post("/checkout/start/", given).text
    assert "seats can be bought here" in page
    for name, value in given.items():
        assert re.search(rf'name="{name}"[^>]*value="{value}"', page), name
    again = client.get("/checkout/start/", {**given, "seats": "3"})
    assert "Continue to checkout" in again.text


@pytest.mark.parametrize(
    "url", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_it_leads_nowhere_strange(catalogue, client, url):
    for send in (client.get, client.post):
        answer = send("/checkout/start/", {"plan": "pro", "success_url": url})
        assert (answer.status_code, "This link does not work" in answer.text) == (400, True)
        assert "redirect_not_allowed (success_url)" in answer.text
    assert not CheckoutSession.objects.exists()


def test_one_address_does_not_open_checkouts_without_end(catalogue, client):
    answers = [client.post("/checkout/start/", {"plan": "starter"}).status_code for _ in range(32)]
    assert answers.count(302) == 30
    assert answers[-1] == 429
    answer = client.post("/checkout/start/", {"plan": "starter"})
    assert int(answer["Retry-After"]) > 0
    assert 'href="/pricing/"' in answer.text


def test_it_compares_what_the_plans_include(catalogue, client):
    from billing.models import Plan
    from checkout import wording

    found = wording.comparison(list(Plan.objects.order_by("rank")))
    rows = {row.name: [cell for _plan, cell in row.cells] for row in found}
    assert [plan for plan, _cell in found[0].cells] == ["Starter", "Pro", "Business", "Enterprise"]
    assert rows["Team members"] == ["5", "100", "500", "Unlimited"]
    assert rows["API calls"] == ["10,000", "50,000", "500,000", "5,000,000"]
    assert rows["Single sign-on"] == [False, False, False, True]
    assert "What each plan includes" in page(client)


def test_it_says_that_a_plan_can_be_tried(catalogue, client):
    from billing.models import Plan

    Plan.objects.filter(code="pro").update(trial_days=14, trial_needs_card=False)
    html = page(client)
    assert "Try Pro" in html
    assert "Free for 14 days, no card needed" in " ".join(html.split())
