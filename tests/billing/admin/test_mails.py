"""Staff look at every mail before a customer gets it."""

import pytest

from billing import mail_samples
from billing.models import User

pytestmark = pytest.mark.django_db
WAYS = [(one.name, n) for one in mail_samples.templates() for n in range(len(one.variants))]


@pytest.fixture
def browser(client, catalogue):
    client.force_login(User.objects.create_superuser("root@seller.example", "x" * 12))
    return client


def test_the_list_names_every_mail_with_its_purpose(browser):
    page = browser.get("/admin/mails/").text
    for one in mail_samples.templates():
        assert f"/admin/mails/{one.name}/0/" in page
        assert one.purpose.endswith(".")


@pytest.mark.parametrize(("name", "variant"), WAYS)
def test_every_way_of_every_mail_can_be_seen(browser, name, variant):
    page = browser.get(f"/admin/mails/{name}/{variant}/")
    assert page.status_code == 200
    assert "None" not in page.text.partition("Text part")[2]
    framed = browser.get(f"/admin/mails/{name}/{variant}/html/")
    assert "sandbox" in framed["Content-Security-Policy"]
    assert "Lumen Analytics" in framed.text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("automation", "How is it going?"),
        ("payment_exception", "Nova Robotics: another way of paying"),
        ("refund_elsewhere", "re_3Qexample"),
        ("receipt", "we received $103.53"),
    ],
)
def test_an_invented_mail_has_no_holes(browser, name, said):
    assert said in browser.get(f"/admin/mails/{name}/0/html/").text


@pytest.mark.parametrize("address", ["nothing/0/", "receipt/9/", "base/0/"])
def test_what_is_no_mail_does_not_exist(browser, address):
    assert browser.get(f"/admin/mails/{address}").status_code == 404


def test_it_is_for_those_who_may_see_mail(client, catalogue):
    client.force_login(User.objects.create_user("new@seller.example", is_staff=True))
    assert client.get("/admin/mails/").status_code == 403
