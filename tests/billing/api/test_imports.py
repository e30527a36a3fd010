"""Files of usage over the API."""

CSV = b"id,customer,event_name,timestamp,value\na,acme,api_call,,10\nb,nobody,api_call,,1\n"


def test_a_file_is_taken_and_read_back(api, make_customer, run_jobs):
    make_customer(external_id="acme")
    made = api.send("POST", "usage_imports", CSV, type_="text/csv")
    body = made.json()
    assert (made.status_code, body["status"], body["events"], body["processed"]) == (202, "waiting", 2, 0)
    run_jobs()
    done = api.get(f"usage_imports/{body['id']}").json()
    assert (done["status"], done["accepted"], done["rejected"]) == ("done", 1, 1)
    assert done["errors"] == [
        {"line": 3, "id": "b", "code": "unknown_customer", "detail": "There is no such customer."}
    ]
    assert api.get("usage_imports").json()["results"] == [done]


def test_the_same_key_takes_it_once(api, make_customer):
    sent = [api.send("POST", "usage_imports", CSV, {"Idempotency-Key": "f"}, "text/csv") for _ in range(2)]
    assert sent[0].content == sent[1].content
    assert len(api.get("usage_imports").json()["results"]) == 1


def test_it_refuses_what_is_no_such_file(api, code):
    assert code(api.send("POST", "usage_imports", CSV, type_="application/json")) == (
        415,
        "unsupported_media_type",
    )
    assert code(api.send("POST", "usage_imports", b"", type_="text/csv")) == (400, "invalid_json")
    assert code(api.send("POST", "usage_imports", b"\xff\xfe", type_="text/csv")) == (422, "unreadable_file")
    assert code(api.send("POST", "usage_imports", b"a" * (8 * 2**20 + 1), type_="text/csv")) == (
        413,
        "body_too_large",
    )


def test_the_other_side_does_not_see_it(api, live_api, code):
    made = api.send("POST", "usage_imports", CSV, type_="text/csv").json()["id"]
    assert code(live_api.get(f"usage_imports/{made}")) == (404, "not_found")
