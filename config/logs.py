"""What the log may say: routes instead of addresses, which carry tokens of sign-ins, checkouts and quotes."""

import logging


class Routes(logging.Filter):
    """The framework names the address of each request that it refused; say the route that it came to instead."""

    def filter(self, record: logging.LogRecord) -> bool:
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        if match is not None and isinstance(record.args, tuple):
            record.args = tuple(_hidden(arg, f"/{match.route}") for arg in record.args)
        return True


def _hidden(arg: object, route: str) -> object:
    return route if isinstance(arg, str) and arg.startswith("/") else arg
