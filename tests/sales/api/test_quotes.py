"""Quotes over the API: drafted, approved, sent, revised."""

import pytest

from sales.models import Quote


@pytest.fixture
def api(sales_catalogue, make_api):
    return make_api()


@pytest.fixture
def acme(make_customer):
    return make_customer(external_id="acme", country="US")


def test_it_drafts_a_quote_with_its_figures(api, acme, rita):
    made = api.post(
        "quotes", customer="acme", plan="enterprise", interval="year", quantity=50, term_months=24,
        discount={"percent_off": 10}, ramp=[{"year": 2, "quantity": 80}], net_days=45,
        lines=[{"description": "Onboarding", "amount": "2500.00"}],
    )  # fmt: skip
    body = made.json()
    assert made.status_code == 201
    assert (body["state"], body["version"], body["plan"]) == ("draft", 1, "enterprise")
    assert (body["arr"], body["discount_percent"], body["net_days"]) == ("44550.00", "10", 45)
    assert [line["description"] for line in body["lines"]][-1] == "Onboarding"
    assert [row["total"] for row in body["schedule"]] == ["46800.00", "71280.00"]
    assert body["tcv"] == "118080.00"
    assert body["url"] is None
    assert api.get(f"quotes/{body['id']}").json() == body
    listed = api.get("quotes", customer="acme", state="draft").json()["results"]
    assert listed == [{name: value for name, value in body.items() if name != "fingerprint"}]
    by_price = [{"year": 2, "quantities": {body["lines"][0]["price"]: 80}}]
    again = api.patch(f"quotes/{body['id']}", ramp=by_price).json()
    assert (again["ramp"], again["tcv"]) == (body["ramp"], body["tcv"])


def test_it_commits_to_usage_by_a_line_or_by_quantities(api, acme):
    line = {"price": "api-calls", "quantity": 7_000_000}
    body = api.post("quotes", customer="acme", plan="enterprise", quantity=1, lines=[line]).json()
    assert [(each["price"], each["quantity"]) for each in body["lines"]] == [
        ("seats-year", "1"), ("api-calls", "7000000"),
    ]  # fmt: skip
    assert (body["arr"], body["tcv"]) == ("990.00", "20190.00")
    none = api.patch(f"quotes/{body['id']}", quantities={"api-calls": 0}).json()
    assert none["tcv"] == "990.00"


def test_it_goes_through_approval_by_somebody_else(api, acme, rita, staff, code):
    quote = api.post(
        "quotes",
        customer="acme",
        plan="enterprise",
        quantity=50,
        discount={"percent_off": 25},
        owner=rita.email,
    ).json()["id"]
    path = f"quotes/{quote}"
    assert code(api.post(f"{path}/send")) == (409, "quote_needs_approval")
    assert api.post(f"{path}/submit").json()["state"] == "in_approval"
    assert code(api.post(f"{path}/approve")) == (400, "required")
    assert code(api.post(f"{path}/approve", by=rita.email)) == (422, "own_quote")
    manager = staff("max", "Sales managers")
    assert api.post(f"{path}/reject", by=manager.email, note="Too much").json()["state"] == "draft"
    assert api.patch(path, discount={"percent_off": 22}).json()["discount_percent"] == "22"
    api.post(f"{path}/submit")
    assert api.post(f"{path}/approve", by=manager.email).json()["state"] == "approved"
    sent = api.post(f"{path}/send", message="As agreed").json()
    assert sent["state"] == "sent"
    assert sent["url"].startswith("http")
    assert code(api.patch(path, quantity=60)) == (409, "quote_not_editable")
    assert api.get(f"{path}/pdf").content.startswith(b"%PDF")
    fresh = api.post(f"{path}/revise", quantity=60)
    assert (fresh.status_code, fresh.json()["version"], fresh.json()["state"]) == (201, 2, "draft")
    assert api.get(path).json()["state"] == "withdrawn"
    assert api.post(f"quotes/{fresh.json()['id']}/withdraw", reason="Lost").json()["state"] == "withdrawn"


def test_who_looked_at_something_else_decides_nothing(api, acme, rita, staff, code):
    terms = {"customer": "acme", "plan": "enterprise", "quantity": 50, "discount": {"percent_off": 25}}
    made = api.post("quotes", owner=rita.email, **terms).json()
    path, manager = f"quotes/{made['id']}", staff("max", "Sales managers").email
    changed = api.patch(path, quantity=60, seen=made["fingerprint"]).json()
    assert code(api.patch(path, quantity=70, seen=made["fingerprint"])) == (409, "quote_changed_meanwhile")
    asked = api.post(f"{path}/submit").json()
    assert len({made["fingerprint"], changed["fingerprint"], asked["fingerprint"]}) == 3
    for verb in ("approve", "reject"):
        stale = api.post(f"{path}/{verb}", by=manager, seen=changed["fingerprint"])
        assert code(stale) == (409, "quote_changed_meanwhile")
    assert api.get(path).json() == asked
    assert api.post(f"{path}/approve", by=manager, seen=asked["fingerprint"]).json()["state"] == "approved"


def test_one_for_a_customer_follows_its_live_subscription(api, acme, rita, subscribe):
    live = subscribe(acme)
    made = api.post("quotes", customer="acme", starts="period_end").json()
    assert (made["subscription"], made["plan"], made["starts"]) == (live.pk, "business", "period_end")
    other = api.post("quotes", customer="acme", plan="pro", subscription=None, starts="2026-03-01").json()
    assert (other["subscription"], other["starts"], other["starts_on"]) == (None, "date", "2026-03-01")


def test_a_lead_is_quoted_in_the_currency_asked_for(api, rita, code):
    lead = api.post("leads", name="A", email="a@harbour.example", company="Harbour").json()["id"]
    made = api.post("quotes", lead=lead, plan="enterprise", currency="EUR", quantity=3).json()
    assert (made["lead"], made["currency"], made["customer"]) == (lead, "EUR", None)
    assert code(api.post("quotes", lead=lead)) == (422, "required")
    nobody = api.post("quotes", plan="enterprise")
    assert code(nobody) == (422, "customer_or_lead")
    assert [error["field"] for error in nobody.json()["errors"]] == ["customer", "lead"]


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"plan": "gold"}, 422, "plan"),
        ({"term_months": 7}, 422, "term_months"),
        ({"net_days": 31}, 422, "net_days"),
        ({"discount": {"percent_off": 10, "amount_off": "5.00"}}, 422, "discount.percent_off"),
        ({"discount": {"amount_off": 5}}, 400, "discount.amount_off"),
        ({"ramp": [{"year": 9, "quantity": 3}]}, 422, "ramp.0.year"),
        ({"ramp": [{"year": 1, "discount": {"amount_off": "5.00"}}]}, 422, "ramp.0.discount"),
        ({"ramp": [{"year": 1, "quantities": {"none": 5}}]}, 422, "ramp.0.quantities"),
        ({"ramp": [{"year": 1, "quantities": {}}]}, 422, "ramp.0.quantities"),
        ({"ramp": [{"year": 1, "quantity": 5, "quantities": {"none": 5}}]}, 422, "ramp.0.quantities"),
        ({"lines": [{"description": "x"}]}, 422, "lines.0"),
        (
            {"lines": [{"price": "api-calls"}, {"description": "x" * 201, "amount": "5"}]},
            422,
            "lines.1.description",
        ),
        ({"starts": "soon"}, 400, "starts"),
        ({"owner": "nobody@x.example"}, 422, "owner"),
        ({"total": "1.00"}, 400, "total"),
    ],
)
def test_it_names_what_is_wrong_and_makes_nothing(api, acme, rita, fields, status, field):
    answer = api.post("quotes", **{"customer": "acme", "plan": "enterprise", "quantity": 5, **fields})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field)
    assert not Quote.objects.exists()


def test_the_other_side_does_not_see_it(api, acme, rita, make_api, code):
    quote = api.post("quotes", customer="acme", plan="pro").json()["id"]
    live = make_api(livemode=True)
    assert code(live.get(f"quotes/{quote}")) == (404, "not_found")
    assert code(live.post(f"quotes/{quote}/submit")) == (404, "not_found")
    assert live.get("quotes").json()["results"] == []


def test_it_takes_a_fixed_number_of_statements(api, acme, rita, django_assert_max_num_queries):
    made = [api.post("quotes", customer="acme", plan="pro").json()["id"] for _ in range(3)]
    for limit in (1, 3):
        with django_assert_max_num_queries(4):  # three, and the key's
            api.get("quotes", limit=limit)
    with django_assert_max_num_queries(6):
        api.get(f"quotes/{made[0]}")


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"discount": {"percent_off": -1}}, "discount.percent_off"),
        ({"discount": {"percent_off": 101}}, "discount.percent_off"),
        ({"starts": "1970-01-01T00:00:00+14:00"}, "starts"),
        ({"ramp": [{"year": 2, "quantity": 3, "discount": {"percent_off": -1}}], "term_months": 24},
         "ramp.0.discount.percent_off"),
    ],
)  # fmt: skip
def test_it_names_what_is_wrong_as_it_was_sent(api, acme, terms, field):
    answer = api.post("quotes", customer="acme", plan="enterprise", quantity=5, **terms)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])
