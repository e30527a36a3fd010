from django.apps import AppConfig


class SalesConfig(AppConfig):
    name = "sales"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Billing speaks upward by recording events; this is where sales listens. And the books ask for us too."""
        from billing import books, sending_again
        from billing.dispatch import recorded
        from sales.accepting import still_open
        from sales.books import INVARIANTS
        from sales.watching import on_recorded

        sending_again.holding["quote_sent"] = still_open
        books.ABOVE.extend(INVARIANTS)
        recorded.connect(on_recorded, dispatch_uid="sales.watching")
