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
    assert made.condition == 'customer.mrr > 500.0 && event.data.rule == "engagement"'
    assert (made.actions[0]["text"], made.enabled) == ("Call {customer.name}", False)


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(boss):
    page = boss.post("/admin/sales/automation/add/", {**FORM, "value_0": "many"})
    assert page.status_code == 422
    assert page.context["form"].errors["value_0"] == ["Write a number."]
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


def test_what_was_saved_stands_in_its_lines_again_and_stays_as_it_is(boss, address):
    boss.post(
        "/admin/sales/automation/add/", {**FORM, "condition": "customer.days > 3 || customer.score > 5"}
    )
    made = Automation.objects.get(shipped_code=None)
    form = boss.get(address(made)).context["form"]
    assert [form[name].value() for name in ("what_0", "how_0", "value_0")] == ["customer.mrr", ">", "500"]
    assert form["condition"].value() == "(customer.days > 3 || customer.score > 5)"
    kept = {field.html_name: str(field.value()) for field in form if field.value() not in (None, "", False)}
    boss.post(address(made), {**kept, "action": "save"})
    before, made.condition = made.condition, ""
    made.refresh_from_db()
    assert made.condition == before


def test_names_are_taken_for_codes_and_a_mistake_is_told(boss):
    rule = {
        **FORM,
        "condition": "",
        "what_0": "event.data.rule",
        "how_0": "==",
        "value_0": "usage near limit",
    }
    boss.post("/admin/sales/automation/add/", rule)
    assert Automation.objects.get(shipped_code=None).condition == 'event.data.rule == "usage_near_limit"'
    page = boss.post("/admin/sales/automation/add/", {**rule, "value_0": "usage_nearly"})
    assert "There is no “usage_nearly”" in page.context["form"].errors["value_0"][0]
    page = boss.post("/admin/sales/automation/add/", {**FORM, "text_0": "Call {customer.nme}"})
    assert "Nothing fills in “{customer.nme}”" in page.context["form"].errors["text_0"][0]


def test_no_action_is_lost_that_the_form_had_no_row_for(boss, address):
    actions = [{"kind": "tag", "text": f"tag-{n}", "body": "", "to": ""} for n in range(4)]
    made = Automation.objects.create(name="Tags", trigger="quote.sent", actions=actions)
    form = boss.get(address(made)).context["form"]
    kept = {field.html_name: str(field.value()) for field in form if field.value() not in (None, "", False)}
    boss.post(address(made), {**kept, "action": "save"})
    made.refresh_from_db()
    assert [action["text"] for action in made.actions] == ["tag-0", "tag-1", "tag-2", "tag-3"]


def test_what_is_typed_is_tried_before_it_is_saved(boss, on_pro, happen):
    customer = on_pro().customer
    happen(customer, "signal.created", {"rule": "engagement", "weight": "medium", "sentence": "x"})
    typed = {**FORM, "name": "", "action": "try"}
    page = boss.post("/admin/sales/automation/add/", {**typed, "value_0": "1"})
    assert (page.status_code, page.context["trials"][0].holds) == (200, True)
    assert f"Raise a task: Call {customer.name}" in page.text
    page = boss.post("/admin/sales/automation/add/", typed)
    assert "customer.mrr: 174" in page.text
    assert boss.post("/admin/sales/automation/add/", {**typed, "value_0": "x"}).status_code == 422
    assert not Automation.objects.filter(shipped_code=None).exists()
    assert "event.data.rule" in boss.get("/admin/sales/automation/add/").context["examples"]


def test_what_lies_deeper_in_an_event_is_named_as_a_condition_asks_for_it(boss, address, on_pro, happen):
    made = Automation.objects.get(shipped_code="rule-engagement")
    Automation.objects.filter(pk=made.pk).update(trigger="usage.threshold_reached", condition="")
    row = on_pro()
    crossed = {
        "subscription": row.pk, "meter": "api_calls", "name": "API calls", "percent": 80, "limit": "10000",
        "used": "8000", "period": {"start": "2026-01-01", "end": "2026-02-01"},
    }  # fmt: skip
    happen(row.customer, "usage.threshold_reached", crossed, jobs=False)
    examples = boss.get(address(made)).context["examples"]
    assert (examples["event.data.percent"], examples["event.data.period.start"]) == ("80", "2026-01-01")


def test_a_page_left_open_replaces_nothing_unseen(boss, address):
    made = Automation.objects.get(shipped_code="rule-engagement")
    opened = boss.get(address(made)).context["seen"]
    boss.post(address(made), {**FORM, "name": "A colleague's"})
    late = boss.post(address(made), {**FORM, "name": "Mine", "seen": opened})
    made.refresh_from_db()
    assert (late.status_code, made.name) == (422, "A colleague's")
    assert 'value="Mine"' in late.text
    boss.post(address(made), {**FORM, "name": "Mine", "seen": late.context["seen"]})
    made.refresh_from_db()
    assert made.name == "Mine"
