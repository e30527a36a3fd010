"""The web server's settings: gunicorn --config config/gunicorn.py config.wsgi"""

import gc
import os
from pathlib import Path

import environ
from gunicorn.arbiter import Arbiter
from gunicorn.http import wsgi

environ.Env.read_env(Path(__file__).resolve().parent.parent / ".env")

bind = os.environ.get("BIND", f"127.0.0.1:{os.environ.get('PORT', '8000')}")
workers = int(os.environ.get("WEB_WORKERS", "2"))
# Threads, so that a browser's idle spare connection does not hold up a whole worker.
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "4"))
preload_app = True
timeout = 60
graceful_timeout = 10
max_requests = 10_000
max_requests_jitter = 1_000
# Addresses carry sign-in and quote tokens, so the access log is the proxy's decision, not ours.
accesslog = None
control_socket_disable = True


def when_ready(server: Arbiter) -> None:
    """Loaded, and not yet forked: what is there now stays, so no worker's collector need walk through it (half a
    millisecond of a page's time, and a copy of memory that the workers share)."""
    gc.collect()
    gc.freeze()


with_server_header = wsgi.Response.default_headers


def without_server_header(response: wsgi.Response) -> list[str]:
    """The usual headers without the one that names the program."""
    return [line for line in with_server_header(response) if not line.startswith("Server:")]


wsgi.Response.default_headers = without_server_header
