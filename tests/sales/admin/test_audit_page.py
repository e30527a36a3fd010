"""Who did what."""

import pytest

from billing.models import User
from sales import leads
from sales.models import Rule
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


def test_it_tells_what_colleagues_did_and_changed(boss, browser, address, rita):
    lead = leads.contact(name="Kim", email="kim@nova.example", company="Nova", now=NOON, actor="buyer")
    task = lead.handoff_tasks.get()
    browser.post(address(task), {"action": "lost", "why": "price", "note": "Too dear for them"})
    rule = Rule.objects.get(code="company_size")
    form = {
        "name": rule.name,
        "enabled": "on",
        "weight": "high",
        "threshold": "50",
        "action": rule.action,
        "position": 2,
    }
    assert boss.post(address(rule), form).status_code == 302
    page = boss.get("/admin/audit/").text
    for words in ("Task lost", "Too dear for them", "Rita", "Changed rule", "Company size", "Mara"):
        assert words in page, words
    assert address(task) in page
    hers = boss.get(f"/admin/audit/?who={rita.pk}").text
    assert "Task lost" in hers
    assert "Changed rule" not in hers
    assert "Task lost" not in boss.get("/admin/audit/?until=2020-01-01").text
    assert boss.get("/admin/audit/?until=soon").status_code == 422


def test_it_takes_three_statements_for_the_deeds(boss, browser, django_assert_max_num_queries):
    from sales.admin import audit

    User.objects.create_user("x@seller.example", is_staff=True)
    with django_assert_max_num_queries(3):
        audit.found(None, None)
