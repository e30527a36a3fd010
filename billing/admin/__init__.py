"""Staff's view of billing. What has states or is frozen is looked at here and changed by verbs, never by a form."""

from billing.admin import catalogue, looking, papers, segments

__all__ = ["catalogue", "looking", "papers", "segments"]
