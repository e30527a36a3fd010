from types import SimpleNamespace

from gunicorn.http.wsgi import Response


def test_it_does_not_name_the_program(monkeypatch) -> None:
    monkeypatch.setattr(Response, "default_headers", Response.default_headers)  # put back afterwards
    from config import gunicorn

    request = SimpleNamespace(version=(1, 1), method="GET", should_close=lambda: False)
    response = Response(request, None, None)
    response.status, response.status_code = "200 OK", 200
    assert any(line.startswith("Server:") for line in gunicorn.with_server_header(response))
    assert not any(line.startswith("Server:") for line in gunicorn.without_server_header(response))
    assert Response.default_headers is gunicorn.without_server_header


def test_it_leaves_what_was_loaded_out_of_collections(monkeypatch):
    from config import gunicorn

    done = []
    monkeypatch.setattr("gc.collect", lambda: done.append("collect"))
    monkeypatch.setattr("gc.freeze", lambda: done.append("freeze"))
    gunicorn.when_ready(None)
    assert done == ["collect", "freeze"]
