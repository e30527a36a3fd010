from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from billing import webhooks_out
        from billing.dispatch import recorded

        recorded.connect(webhooks_out.on_recorded, dispatch_uid="billing.webhooks_out")
