"""Every rule: fires at its threshold, not below it, once, and again when it is armed again."""

from datetime import timedelta
from decimal import Decimal

import pytest

from sales import rules
from sales.rules import Account, Facts, Happened, Setting
from tests.fixtures_billing import NOON

DAY = timedelta(days=1)


def happened(type="customer.created", number=1, at=NOON, actor="member:m", subject="cus_1", **data):
    return Happened(number, type, subject, at, actor, data)


def facts(event=None, **known):
    return Facts(event=event or happened(), customer="cus_1", **known)


def keys(rule, given, threshold=0, window=None):
    setting = Setting(rule, "medium", Decimal(threshold), window)
    return [finding.key for finding in rules.weigh(given, {rule: setting})]


def sentence(rule, given, threshold=0, window=None):
    (finding,) = rules.weigh(given, {rule: Setting(rule, "medium", Decimal(threshold), window)})
    return finding.sentence


def added(count, actor="member:m", start=1):
    return [
        happened("member.added", start + n, NOON + n * DAY, actor, f"mem_{n}", email=f"{n}@x")
        for n in range(count)
    ]


def views(*days, feature="sso", start=1):
    return [
        happened("feature.viewed", start + n, NOON + day * DAY, feature=feature) for n, day in enumerate(days)
    ]


def test_it_listens_to_nothing_it_does_not_know():
    assert set(rules.RULES) == {code for codes in rules.TRIGGERS.values() for code in codes}


def test_it_skips_a_rule_that_is_switched_off():
    assert rules.weigh(facts(employees=500), {}) == []


# -- Demo requested


def test_it_finds_every_request_for_a_demo_once():
    asked = happened("demo.requested", subject="lead_1", need="Single sign-on")
    assert keys("demo_requested", facts(asked)) == ["demo_requested:cus_1:1"]
    assert sentence("demo_requested", facts(asked)) == "Asked for a demo: “Single sign-on”"


def test_it_counts_two_requests_of_one_customer_apart():
    first, again = happened("demo.requested", 4), happened("demo.requested", 9)
    assert keys("demo_requested", facts(first)) != keys("demo_requested", facts(again))


# -- Company size


@pytest.mark.parametrize(("employees", "fires"), [(None, 0), (99, 0), (100, 0), (101, 1)])
def test_it_finds_companies_above_the_size(employees, fires):
    assert len(keys("company_size", facts(employees=employees), 100)) == fires


def test_it_finds_a_size_once_however_it_changes():
    assert keys("company_size", facts(employees=101), 100) == keys("company_size", facts(employees=900), 100)


# -- Usage near limit


def usage(used, limit=50_000, start="2026-01-15"):
    return happened(
        "usage.threshold_reached", meter="api_calls", name="API calls", percent=80, used=str(used),
        limit=str(limit), period={"start": start, "end": "2026-02-15"},
    )  # fmt: skip


@pytest.mark.parametrize(("used", "fires"), [(39_999, 0), (40_000, 0), (40_001, 1)])
def test_it_finds_usage_past_the_threshold(used, fires):
    assert len(keys("usage_near_limit", facts(usage(used)), 80)) == fires


def test_it_says_how_much_was_used():
    words = "Used 41,200 of 50,000 API calls (82 %) in the period from 15 January 2026."
    assert sentence("usage_near_limit", facts(usage(41_200)), 80) == words


def test_it_never_says_that_a_limit_is_reached_before_it_is():
    assert "(99 %)" in sentence("usage_near_limit", facts(usage(49_999)), 80)
    almost = sentence("usage_near_limit", facts(usage(Decimal("49999.7"))), 80)
    assert almost.startswith("Used 49,999 of 50,000 API calls (99 %)")


def test_it_finds_one_limit_of_one_period_once():
    assert keys("usage_near_limit", facts(usage(41_000)), 80) == keys(
        "usage_near_limit", facts(usage(50_000)), 80
    )


@pytest.mark.parametrize("other", [usage(41_000, start="2026-02-15"), usage(450_000, limit=500_000)])
def test_it_is_armed_again_by_a_new_period_and_a_higher_limit(other):
    assert keys("usage_near_limit", facts(usage(41_000)), 80) != keys("usage_near_limit", facts(other), 80)


# -- Target lists


def test_it_finds_a_listed_domain_and_its_children():
    own = facts(domain="nova.example", target_domain="nova.example")
    child = facts(domain="eu.nova.example", target_domain="nova.example")
    assert sentence("target_domain", own) == "nova.example is on the target list."
    assert "eu.nova.example belongs to nova.example" in sentence("target_domain", child)
    assert keys("target_domain", facts(domain="nova.example")) == []


def test_it_finds_a_target_profile_once_for_each():
    matched = facts(industry="Logistics", employees=80, target_profiles=("Movers", "Small"))
    assert keys("target_profile", matched) == ["target_profile:cus_1:Movers"]
    assert "Logistics, 80 employees" in sentence("target_profile", matched)
    assert keys("target_profile", facts(industry="Logistics")) == []


# -- Same domain


def test_it_finds_the_second_account_of_a_domain():
    alone = facts(domain="nova.example")
    second = alone._replace(same_domain=(Account("cus_0", "Nova Berlin"),))
    assert keys("same_domain", alone, 2) == []
    assert sentence("same_domain", second, 2) == "2 accounts on nova.example: this one and Nova Berlin."


def test_it_does_not_compare_accounts_without_a_business_domain():
    assert keys("same_domain", facts(domain="", same_domain=(Account("cus_0", "X"),)), 2) == []


# -- Team


def team(events):
    return facts(events[-1], history=tuple(events))


@pytest.mark.parametrize(("members", "fires"), [(9, 0), (10, 1), (11, 1)])
def test_it_finds_a_team_that_reaches_ten(members, fires):
    assert len(keys("team_of_ten", team(added(members)), 10, 30)) == fires


def test_it_finds_a_team_again_after_it_fell_and_the_window_passed():
    left = happened("member.removed", 11, NOON + 20 * DAY)
    soon = happened("member.added", 12, NOON + 21 * DAY)
    late = happened("member.added", 12, NOON + 60 * DAY)
    assert len(keys("team_of_ten", team([*added(10), left, soon]), 10, 30)) == 1
    assert keys("team_of_ten", team([*added(10), left, late]), 10, 30) == [
        "team_of_ten:cus_1:1",
        "team_of_ten:cus_1:2",
    ]


@pytest.mark.parametrize(("members", "fires"), [(4, 0), (5, 1), (9, 1)])
def test_it_finds_a_growing_team_once(members, fires):
    assert len(keys("team_growing", team(added(members)), 5)) == fires


def test_it_does_not_count_whoever_signed_up():
    buyer = happened("member.added", 1, NOON, "buyer")
    assert keys("team_growing", team([buyer, *added(4, start=2)]), 5) == []
    assert keys("team_growing", team([buyer, *added(5, start=2)]), 5) == ["team_growing:cus_1"]


# -- Upgrades


def upgrade(before, after, actor="member:m", number=1, **more):
    to = {"plan": "pro", "quantity": "12"}
    return happened(
        "subscription.changed", number, actor=actor, mrr_before=before, mrr_after=after, to=to, **more
    )


@pytest.mark.parametrize(
    ("event", "fires"),
    [
        (upgrade(174_00, 348_00), 1),
        (upgrade(174_00, 348_00, actor="key:app"), 1),
        (upgrade(174_00, 174_00), 0),
        (upgrade(348_00, 174_00), 0),
        (upgrade(174_00, 348_00, actor="user:1"), 0),
        (upgrade(174_00, 348_00, actor="buyer", source="quote_1"), 0),
    ],
)
def test_it_finds_upgrades_that_the_customer_made(event, fires):
    assert len(keys("upgraded_in_app", facts(event))) == fires


def test_it_says_what_an_upgrade_brings():
    words = "Upgraded in the app: Pro, 12 seats, $174.00 more a month."
    assert sentence("upgraded_in_app", facts(upgrade(174_00, 348_00))) == words


@pytest.mark.parametrize(
    ("before", "after", "fires"),
    [
        (800_00, 833_33, 0),  # ARR 9,999.96
        (800_00, 833_34, 1),  # ARR 10,000.08
        (900_00, 950_00, 0),  # was over it before, gains little
        (900_00, 1400_00, 0),  # gains 500.00, the setting itself
        (900_00, 1400_01, 1),
    ],
)
def test_it_finds_large_upgrades(before, after, fires):
    assert len(keys("large_upgrade", facts(upgrade(before, after), alert_delta=500_00), 10_000)) == fires


def test_it_counts_a_start_as_an_upgrade_from_nothing_but_not_one_by_quote():
    start = happened(
        "subscription.created", actor="buyer", plan="pro", mrr_before=0, mrr_after=900_00, origin="checkout"
    )
    sold = start._replace(data={**start.data, "origin": "quote"})
    assert len(keys("large_upgrade", facts(start), 10_000)) == 1
    assert keys("large_upgrade", facts(sold), 10_000) == []


# -- Looking around


def looking(events, **known):
    above = {"sso": "Single sign-on", "audit_log": "Audit log"}
    return facts(events[-1], history=tuple(events), higher_features=above, **known)


@pytest.mark.parametrize(
    ("days", "fires"), [((0,), 0), ((0, 6), 1), ((0, 7), 0), ((0, 1, 2), 1), ((0, 1, 2, 3), 2)]
)
def test_it_finds_two_views_in_seven_days(days, fires):
    assert len(keys("enterprise_features", looking(views(*days)), 2, 7)) == fires


def test_it_does_not_count_what_the_plan_has_or_nobody_sells():
    has = looking(views(0, 1), plan_features=frozenset({"sso"}))
    assert keys("enterprise_features", has, 2, 7) == []
    assert keys("enterprise_features", looking(views(0, 1, feature="theme")), 2, 7) == []


def test_it_finds_who_looks_at_annual_prices_and_pays_monthly():
    looks = views(0, 20, feature=rules.ANNUAL_PRICES)
    assert len(keys("wants_annual", looking(looks, interval="month"), 2, 30)) == 1
    assert keys("wants_annual", looking(looks, interval="year"), 2, 30) == []
    assert keys("wants_annual", looking(looks[:1], interval="month"), 2, 30) == []


# -- Renewals


def test_it_finds_each_notice_before_a_contract_ends():
    def notice(days, ends="2027-01-15"):
        return facts(
            happened("subscription.renewal_approaching", subject="sub_1", days=days, contract_end_on=ends)
        )

    found = [keys("renewal_approaching", notice(days))[0] for days in (90, 60, 30, 30)]
    assert len(set(found)) == 3
    assert keys("renewal_approaching", notice(30, "2028-01-15"))[0] not in found
