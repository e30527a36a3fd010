from django.apps import AppConfig


class CheckoutConfig(AppConfig):
    name = "checkout"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Payments whose source is a checkout session (`cs_…`) are completed here; the rules of routing name owners."""
        from billing import collecting
        from checkout import completing, judging
        from sales import owning

        collecting.on_source_paid["cs"] = completing.paid
        collecting.undecided.append(completing.undecided)
        collecting.on_source_failed["cs"] = completing.failed
        owning.routing.append(judging.owners_of)
