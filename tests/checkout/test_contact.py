"""Contact sales."""

import pytest

from sales.models import Lead

pytestmark = pytest.mark.django_db
ASKED = {
    "name": "Ada Lovelace", "email": "ada@nova.example", "company": "Nova Robotics", "employees": "300",
    "country": "DE", "need": "Single sign-on.\nAnd a quote.", "demo_wanted": "on", "plan": "enterprise",
}  # fmt: skip


def ask(client, **changed):
    return client.post("/contact-sales/", {**ASKED, **changed})


def test_it_becomes_a_lead(catalogue, client):
    assert ask(client)["Location"] == "/contact-sales/thanks/"
    lead = Lead.objects.get()
    assert (lead.name, lead.company, lead.employees, lead.plan_code) == (
        "Ada Lovelace",
        "Nova Robotics",
        300,
        "enterprise",
    )
    assert lead.demo_wanted
    assert lead.need == "Single sign-on.\nAnd a quote."


def test_it_is_told_where(catalogue, client):
    ask(client, country="US", state="new york")
    assert (Lead.objects.get().country, Lead.objects.get().state) == ("US", "new york")


def test_the_page_knows_which_plan(catalogue, client):
    html = client.get("/contact-sales/?plan=enterprise").content.decode()
    assert "Talk to us about Enterprise" in html
    assert client.get("/contact-sales/?plan=%00x").status_code == 200


def test_sending_twice_is_one_lead(catalogue, client):
    ask(client)
    ask(client)
    assert Lead.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("email", "x"),
        ("company", "\u200b"),
        ("employees", "-5"),
        ("employees", ""),
        ("need", ""),
        ("country", "ZZ"),
        ("state", "x" * 101),
        ("need", "x" * 4001),
        ("name", "a\x00b"),
    ],
)
def test_it_tells_what_is_wrong_and_keeps_the_rest(catalogue, client, field, value):
    answer = ask(client, **{field: value})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in html
    kept = "Nova Robotics" if field != "company" else "Ada Lovelace"
    assert f'value="{kept}"' in html
    assert not Lead.objects.exists()


def test_a_program_gets_thanks_and_no_lead(catalogue, client):
    assert ask(client, website="https://spam.example")["Location"] == "/contact-sales/thanks/"
    assert not Lead.objects.exists()


def test_an_unknown_plan_is_left_out(catalogue, client):
    ask(client, plan="nothing")
    assert Lead.objects.get().plan_code == ""


def test_one_address_does_not_ask_without_end(catalogue, client):
    codes = [ask(client, email=f"a{n}@nova.example").status_code for n in range(7)]
    assert codes == [302] * 5 + [429] * 2
    answer = ask(client, email="late@nova.example")
    assert int(answer["Retry-After"]) > 0
    assert "Please wait" in answer.text
    assert 'value="late@nova.example"' in answer.text  # nothing is typed twice
    assert Lead.objects.count() == 5


def test_it_thanks(client, db):
    assert client.get("/contact-sales/thanks/").status_code == 200
