"""A form that was left open does not save over what a colleague saved meanwhile."""

import pytest

from billing.models import Meter, Seller
from tests.staff import signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


def sent(page):
    form = page.context["adminform"].form
    typed = {field.html_name: field.value() for field in form}
    return {name: value for name, value in typed.items() if value not in (None, False, "")}


@pytest.mark.parametrize(("model", "field"), [(Meter, "name"), (Seller, "name")])
def test_it_refuses_once_and_keeps_what_was_typed(model, field):
    row = model.objects.first()
    browser = signed_in(f"view_{model._meta.model_name}", f"change_{model._meta.model_name}")
    where = f"/admin/billing/{model._meta.model_name}/{row.pk}/change/"
    page = browser.get(where)
    typed = {**sent(page), field: "Mine", "seen": page.context["seen"]}
    assert f'name="seen" value="{typed["seen"]}"' in page.text
    model.objects.filter(pk=row.pk).update(**{field: "Theirs"})
    refused = browser.post(where, typed)
    assert "Somebody else saved this after you opened it" in refused.text
    assert 'value="Mine"' in refused.text
    row.refresh_from_db()
    assert getattr(row, field) == "Theirs"
    again = browser.post(where, {**typed, "seen": refused.context["seen"]})
    assert again.status_code == 302, again.context["errors"]
    row.refresh_from_db()
    assert getattr(row, field) == "Mine"


def test_what_nobody_changed_is_saved_at_once():
    row = Meter.objects.first()
    browser = signed_in("view_meter", "change_meter")
    where = f"/admin/billing/meter/{row.pk}/change/"
    page = browser.get(where)
    assert (
        browser.post(where, {**sent(page), "name": "Mine", "seen": page.context["seen"]}).status_code == 302
    )
    assert 'name="seen"' not in signed_in("add_meter", "view_meter").get("/admin/billing/meter/add/").text
