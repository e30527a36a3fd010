from django.apps import AppConfig


class SalesConfig(AppConfig):
    name = "sales"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Billing speaks upward by recording events; this is where sales listens."""
        from billing.dispatch import recorded
        from sales.watching import on_recorded

        recorded.connect(on_recorded, dispatch_uid="sales.watching")
