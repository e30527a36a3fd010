from django.db import migrations


def nothing_is_committed(apps, schema_editor):
    """What a quote says of usage counted once so far, and meant nothing; from now on it is the quantity that is committed."""
    lines = apps.get_model("sales", "QuoteLine").objects
    lines.filter(kind="usage", price__kind="usage").update(quantity=0)


class Migration(migrations.Migration):
    dependencies = [("sales", "0009_sides_of_deals_and_quotes")]
    operations = [migrations.RunPython(nothing_is_committed, migrations.RunPython.noop)]
