"""Test clocks: a year in a request."""

from billing.models import Event, Invoice

START = "2026-01-15T12:00:00Z"


def test_a_customer_on_a_clock_lives_at_its_time(api, books):
    clock = api.post("test_clocks", time=START, name="First year").json()
    assert (clock["time"], clock["status"]) == (START, "ready")
    customer = api.post("customers", name="A", email="a@a.example", test_clock=clock["id"]).json()
    assert (customer["created_at"], customer["test_clock"]) == (START, clock["id"])
    api.post("subscriptions", customer=customer["id"], plan="pro", quantity=2)
    moved = api.post(f"test_clocks/{clock['id']}/advance", to="2026-04-01T00:00:00Z").json()
    assert (moved["time"], moved["status"]) == ("2026-04-01T00:00:00Z", "ready")
    issued = Invoice.objects.order_by("issued_at").values_list("issued_on", flat=True)
    assert [str(day) for day in issued] == ["2026-01-15", "2026-02-15", "2026-03-15"]
    assert Event.objects.filter(type="subscription.renewed").count() == 2


def test_a_clock_goes_forward_only_and_not_too_far(api, code):
    clock = api.post("test_clocks", time=START).json()["id"]
    path = f"test_clocks/{clock}/advance"
    assert code(api.post(path, to="2026-01-14T12:00:00Z")) == (409, "clock_goes_back")
    assert code(api.post(path, to="2030-01-14T12:00:00Z")) == (422, "advance_too_long")
    assert code(api.post(path, to="2026-02-14")) == (400, "invalid_timestamp")
    assert code(api.post(path)) == (400, "required")
    assert code(api.post("test_clocks/clk_1/advance", to=START)) == (404, "not_found")


def test_it_lists_and_reads(api):
    made = [api.post("test_clocks", time=START, name=name).json() for name in ("one", "two")]
    assert api.get("test_clocks").json()["results"] == made[::-1]
    assert api.get(f"test_clocks/{made[0]['id']}").json() == made[0]


def test_a_clock_is_given_at_birth_only(api, code):
    clock = api.post("test_clocks", time=START).json()["id"]
    customer = api.post("customers", name="A", email="a@a.example").json()["id"]
    assert code(api.patch(f"customers/{customer}", test_clock=clock)) == (400, "unknown_field")


def test_a_deleted_clock_takes_its_customers_along(api, code):
    clock = api.post("test_clocks", time=START).json()["id"]
    customer = api.post("customers", name="A", email="a@a.example", test_clock=clock).json()["id"]
    api.post("subscriptions", customer=customer, plan="pro")
    assert api.delete(f"test_clocks/{clock}").status_code == 204
    assert code(api.get(f"customers/{customer}")) == (404, "not_found")
    assert code(api.get(f"test_clocks/{clock}")) == (404, "not_found")
    assert code(api.post(f"test_clocks/{clock}/advance", to="2026-03-01T00:00:00Z")) == (404, "not_found")
    assert api.get("test_clocks").json()["results"] == []
