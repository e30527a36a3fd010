"""Days as our own pages write them, on Django's pages too. Numbers and what may be typed stay Django's."""

DATE_FORMAT = "j M Y"
DATETIME_FORMAT = "j M Y, H:i"
TIME_FORMAT = "H:i"
