"""Webhook endpoints over the API: secrets shown once, logs, sending again, and addresses that are refused."""

from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from billing import webhooks_out
from billing.models import WebhookDelivery, WebhookEndpoint


@pytest.fixture
def endpoint(api, receiver, loopback):
    answer = api.post("webhook_endpoints", url=f"{receiver.url}/fine", event_types=["customer.updated"])
    assert answer.status_code == 201
    return answer.json()


@pytest.fixture
def delivered(api, endpoint):
    customer = api.post("customers", name="Nova", email="it@nova.example").json()["id"]
    api.patch(f"customers/{customer}", name="Nova AG")
    webhooks_out.send_due(now=timezone.now() + timedelta(seconds=1))
    return api.get(at(endpoint, "deliveries")).json()["results"][0]


def at(endpoint, *rest):
    return "/".join(["webhook_endpoints", endpoint["id"], *rest])


def test_a_secret_is_shown_once(api, endpoint):
    assert endpoint["secret"].startswith("whsec_")
    assert "secret" not in api.get(at(endpoint)).json()
    assert all("secret" not in row for row in api.get("webhook_endpoints").json()["results"])
    rotated = api.post(at(endpoint, "rotate_secret"), overlap_hours=1).json()
    assert rotated["secret"] != endpoint["secret"]
    assert api.send("POST", at(endpoint, "rotate_secret")).status_code == 200


def test_it_is_repeatable_with_the_same_secret(api, receiver, loopback):
    first, second = (api.post("webhook_endpoints", url=receiver.url, key="k").json() for _ in range(2))
    assert first == second
    assert WebhookEndpoint.objects.count() == 1


def test_it_tells_what_happened(api, endpoint, delivered, receiver):
    _, headers, body = receiver.seen[-1]
    told = Webhook(endpoint["secret"]).verify(body, headers)
    assert told["data"] == api.get(f"events/{told['data']['id']}").json()
    assert delivered["event"] == told["data"]["id"]
    detail = api.get(at(endpoint, "deliveries", delivered["id"])).json()
    assert detail["request"] == body.decode()
    assert [(row["status"], row["response"]) for row in detail["tries"]] == [(200, "thank you")]


def test_the_log_is_filtered(api, endpoint, delivered):
    assert api.get(at(endpoint, "deliveries"), status="failed").json()["results"] == []
    assert len(api.get(at(endpoint, "deliveries"), status="delivered").json()["results"]) == 1
    assert api.get(at(endpoint, "deliveries"), status="eaten").status_code == 400


def test_it_sends_again(api, endpoint, delivered):
    answer = api.post(at(endpoint, "deliveries", delivered["id"], "redeliver"))
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    replayed = api.post(at(endpoint, "replay"), since="2020-01-01T00:00:00Z")
    assert (replayed.status_code, replayed.json()) == (202, {"events": 1})


def test_it_sends_a_test(api, endpoint, receiver, code):
    answer = api.send("POST", at(endpoint, "test")).json()
    assert (answer["type"], answer["status"], answer["event"]) == ("webhook.test", "delivered", None)
    assert code(api.post(at(endpoint, "deliveries", answer["id"], "redeliver"))) == (409, "test_delivery")


def test_it_is_switched_off_and_on(api, endpoint, code):
    assert api.patch(at(endpoint), enabled=False).json()["status"] == "disabled"
    assert code(api.post(at(endpoint, "replay"), since="2020-01-01T00:00:00Z")) == (409, "endpoint_disabled")
    assert api.patch(at(endpoint), enabled=True, description="ERP").json()["status"] == "enabled"


def test_it_is_removed_with_its_log(api, endpoint, delivered):
    assert api.delete(at(endpoint)).status_code == 204
    assert api.get(at(endpoint)).status_code == 404
    assert not WebhookDelivery.objects.exists()


def test_the_other_side_does_not_exist(api, live_api, endpoint, delivered, code):
    for path in (at(endpoint), at(endpoint, "deliveries"), at(endpoint, "deliveries", delivered["id"])):
        assert code(live_api.get(path)) == (404, "not_found")
    other = api.post("webhook_endpoints", url="https://8.8.8.8/").json()
    assert code(api.get(at(other, "deliveries", delivered["id"]))) == (404, "not_found")


def test_reading_keys_make_none(make_api, catalogue, code):
    assert code(make_api(("read",)).post("webhook_endpoints", url="https://8.8.8.8/")) == (
        403,
        "scope_missing",
    )


@pytest.mark.parametrize(
    "url",
    """http://127.0.0.1/ https://127.0.0.1/ http://localhost:8000/ http://[::1]/ http://169.254.169.254/latest/meta-data/
    https://10.0.0.1/ https://172.16.0.1/ https://192.168.1.1/ https://100.64.0.1/ http://2130706433/
    http://0x7f000001/ http://0177.0.0.1/ http://127.1/ http://0/ http://①②⑦.⓪.⓪.①/ http://[::ffff:127.0.0.1]/
    http://[64:ff9b::7f00:1]/ http://[2002:7f00:1::]/ https://224.0.0.1/ file:///etc/passwd gopher://x ftp://x
    https://u:p@8.8.8.8/ https://8.8.8.8:22/ https://ok.example@127.0.0.1/ javascript:alert(1) http://8.8.8.8/
    https://8.8.8.8/#a""".split(),
)
def test_it_refuses_addresses_that_lead_inside(api, url):
    answer = api.post("webhook_endpoints", url=url)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"][0]["field"] == "url"
    assert not WebhookEndpoint.objects.exists()


def test_it_refuses_headers_and_types_that_it_does_not_know(api, code):
    headers = {"X-A": "b\r\nHost: evil"}
    assert code(api.post("webhook_endpoints", url="https://8.8.8.8/", headers=headers)) == (
        400,
        "unknown_field",
    )
    answer = api.post("webhook_endpoints", url="https://8.8.8.8/", event_types=["invoice.eaten"])
    assert code(answer) == (422, "unknown_event_type")
    assert code(api.post("webhook_endpoints", event_types=[]))[0] == 400


def test_lists_take_a_fixed_number_of_statements(api, endpoint, delivered, django_assert_max_num_queries):
    with django_assert_max_num_queries(3):
        api.get("webhook_endpoints")
    with django_assert_max_num_queries(4):
        api.get(at(endpoint, "deliveries"))
