from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Whose facts are told to whom, and who writes the mails about a payment (`pay_…`)."""
        from django.db.backends.signals import connection_created

        from billing import mail, prepared, receipts, webhooks_out, witnessing
        from billing.dispatch import recorded

        connection_created.connect(prepared.look_for_a_pooler, dispatch_uid="billing.prepared")
        recorded.connect(webhooks_out.on_recorded, dispatch_uid="billing.webhooks_out")
        witnessing.listen()
        mail.words_of["pay"] = receipts.words
