"""Whether this process can serve: asked by load balancers and by the demo, answered without a version."""

from django.db import connection
from django.http import HttpRequest, JsonResponse

from billing.away import AWAY


def healthz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, 503 with Retry-After when it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except AWAY:
        return JsonResponse({"status": "unavailable"}, status=503, headers={"Retry-After": "5"})
    return JsonResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})
