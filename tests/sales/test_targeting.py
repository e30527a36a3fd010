"""Files in: what is right is kept, what is wrong is named with its line."""

import pytest

from billing.delimited import UnreadableFile
from sales import targeting
from sales.models import TargetDomain
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


def test_it_takes_target_domains(rita):
    content = (
        b"Domain,Note,Owner\nnova.example,Met in May,rita@seller.example\nhttps://Orbit.example/,,\n"
        b"bad domain,,\n,x,\nnova.example,,\n"
    )
    done = targeting.import_domains(content=content, now=NOON)
    assert (done.added, done.changed, done.unchanged) == (2, 0, 1)
    assert [line for line, _ in done.problems] == [4, 5]
    assert list(TargetDomain.objects.order_by("domain").values_list("domain", "owner__email", "note")) == [
        ("nova.example", "rita@seller.example", "Met in May"), ("orbit.example", None, ""),
    ]  # fmt: skip


def test_it_names_a_colleague_that_there_is_not(sales_catalogue):
    done = targeting.import_domains(content=b"domain;owner\nnova.example;who@seller.example", now=NOON)
    assert done.problems == [(2, "owner: No colleague has the address who@seller.example.")]
    assert not TargetDomain.objects.exists()


def test_it_takes_what_companies_are_like(make_customer, found, run_jobs, sales_catalogue):
    by_mail = make_customer(email="ada@nova.example")
    by_id, twin = make_customer(email="a@x.example"), make_customer(email="b@x.example")
    content = (
        f'customer,employees,industry\nada@nova.example,"1,200",Logistics\n{by_id.pk},12,\nx.example,5,\nwho,1,\n'
        f"{twin.pk},many,"
    )
    done = targeting.import_companies(content=content.encode(), livemode=False, now=NOON, actor="user:1")
    assert (done.changed, [line for line, _ in done.problems]) == (2, [4, 5, 6])
    by_mail.refresh_from_db()
    assert (by_mail.employees, by_mail.industry) == (1200, "Logistics")
    run_jobs()
    assert "company_size" in found(by_mail)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n\n", b"\xff\xfe\x00", b"name\nnova.example", b"x" * 5_000_000, b"domain\n" * 20_001,
        b"domain,owner\nnova.example,a\x00@b.example", b"domain,Domain\nnova.example,orbit.example",
        b'domain,note\nnova.example,"Met\norbit.example,in May',
        b"domain,note\nnova.example,\norbit.example," + b"x" * 140_000,
    ],
)  # fmt: skip
def test_it_refuses_what_it_cannot_read_and_takes_nothing_of_it(content):
    with pytest.raises(UnreadableFile):
        targeting.import_domains(content=content, now=NOON)
    assert not TargetDomain.objects.exists()


def test_it_names_the_lines_that_say_too_much(sales_catalogue):
    content = b"domain,note\nnova.example,Met, in May\norbit.example,,,\nsun.example\n"
    done = targeting.import_domains(content=content, now=NOON)
    assert (done.added, done.problems) == (2, [(2, "line: This line has more cells than there are columns.")])


@pytest.mark.parametrize(
    "employees", ["9" * 5000, "1e3", "-1", "\u0661\u0660", "\u00b2", "1.5", "10,000,001"]
)
def test_it_names_a_number_that_is_none(make_customer, sales_catalogue, employees):
    make_customer(external_id="acme", employees=7)
    content = f'customer,employees\nacme,"{employees}"\n'.encode()
    done = targeting.import_companies(content=content, livemode=False, now=NOON, actor="user:1")
    assert [(line, words.partition(":")[0]) for line, words in done.problems] == [(2, "employees")]


def test_it_does_not_repeat_all_that_was_typed(sales_catalogue):
    content = b"customer,industry\n" + b"z" * 100_000 + b",x\n"
    done = targeting.import_companies(content=content, livemode=False, now=NOON, actor="user:1")
    assert len(done.problems[0][1]) < 200
