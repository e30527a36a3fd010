"""Automations in the admin: written, tried, followed."""

import pytest

from sales.models import Automation, AutomationRun

pytestmark = pytest.mark.django_db
FORM = {
    "action": "save", "name": "Big ones", "trigger": "signal.created", "what_0": "customer.mrr", "how_0": ">",
    "value_0": "500", "condition": 'event.data.rule == "engagement"', "kind_0": "task", "text_0": "Call {customer.name}",
}  # fmt: skip


def test_a_manager_writes_one(boss, browser):
    assert browser.get("/admin/sales/automation/add/").status_code == 403
    assert boss.get("/admin/sales/automation/add/").status_code == 200
    answer = boss.post("/admin/sales/automation/add/", FORM)
    made = Automation.objects.get(shipped_code=None)
    assert answer.url == f"/admin/sales/automation/{made.pk}/change/"
    assert made.condition == 'event.data.rule == "engagement" && customer.mrr > 500.0'
    assert (made.actions[0]["text"], made.enabled) == ("Call {customer.name}", False)


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(boss):
    page = boss.post("/admin/sales/automation/add/", {**FORM, "value_0": "many"})
    assert page.status_code == 422
    assert page.context["form"].errors["condition"] == ["Write a number."]
    page = boss.post("/admin/sales/automation/add/", {**FORM, "kind_1": "tag", "text_1": "Not a tag"})
    assert "small letters" in page.context["form"].errors["text_1"][0]
    assert "Call {customer.name}" in page.text
    assert not Automation.objects.filter(shipped_code=None).exists()


def test_it_is_tried_on_the_past(boss, browser, address, on_pro, happen):
    customer = on_pro().customer
    happen(customer, "signal.created", {"rule": "engagement", "weight": "medium", "sentence": "x"})
    made = Automation.objects.get(shipped_code="rule-engagement")
    answer = boss.post(address(made), {"action": "try"})
    page = boss.get(answer.url.partition("#")[0]).text
    assert f"Raise a task: Outreach: {customer.name}" in page
    assert browser.get(address(made)).status_code == 200
    assert browser.post(address(made), {"action": "save"}).status_code == 403
    assert not AutomationRun.objects.exists()


def test_a_failed_run_is_tried_again(boss, address, on_pro):
    made = Automation.objects.get(shipped_code="rule-engagement")
    run = AutomationRun.objects.create(
        automation=made, customer=on_pro().customer, key="1", status="failed", attempts=6, at=made.created_at,
        log=[{"kind": "task", "ok": False, "words": "No luck", "at": ""}],
    )  # fmt: skip
    assert "No luck" in boss.get(address(made)).text
    boss.post(address(made), {"action": "again", "run": str(run.pk)})
    run.refresh_from_db()
    assert (run.status, run.attempts) == ("waiting", 5)
