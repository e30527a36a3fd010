"""The HTTP API, /api/v1/. Each view reads what was sent, makes one call, and answers; `config/api.py` has
the addresses."""
