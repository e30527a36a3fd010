from django.apps import AppConfig


class CheckoutConfig(AppConfig):
    name = "checkout"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Payments whose source is a checkout session (`cs_…`) are completed here, and mails about them are
        written here; the rules of routing name owners."""
        from billing import collecting, mail, sending_again
        from checkout import completing, judging, letters, sessions
        from sales import owning

        sending_again.holding["checkout_link"] = sessions.still_open
        collecting.on_source_paid["cs"] = completing.paid
        collecting.undecided.append(completing.undecided)
        collecting.on_source_failed["cs"] = completing.failed
        mail.words_of["cs"] = letters.words
        owning.routing.append(judging.owners_of)
