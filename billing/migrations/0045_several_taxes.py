"""A rate is made of one tax or several, for a country or one of its states; lines keep each tax by its name. Papers print the
name, so the shipped rates are called what papers called every tax until now."""

from django.db import migrations, models

TAXES = models.JSONField(
    db_default=models.Value([], models.JSONField()),
    default=list,
    help_text="name, percentage, compound and amount of each that tax_amount is made of",
)
SHIPPED = """
update billing_taxrate set name = 'VAT'
where name in ('VAT Ireland', 'USt. Germany', 'TVA France', 'BTW Netherlands')
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0044_retention")]
    operations = [
        migrations.RemoveConstraint("taxrate", "one_active_tax_rate_per_country_and_category"),
        migrations.AddField("creditnoteline", "taxes", TAXES.clone()),
        migrations.AddField("invoiceline", "taxes", TAXES.clone()),
        migrations.AddField(
            "taxrate",
            "state",
            models.CharField(
                blank=True,
                db_default="",
                help_text="of the country: a state, province or region; blank: all",
                max_length=60,
            ),
        ),
        migrations.AddField(
            "taxrate",
            "taxes",
            models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.AlterField(
            "taxrate",
            "name",
            models.CharField(help_text="as papers print it: VAT, GST, Sales tax", max_length=100),
        ),
        migrations.AddConstraint(
            "taxrate",
            models.UniqueConstraint(
                condition=models.Q(("active", True)),
                fields=("country", "state", "product_category"),
                name="one_active_tax_rate_per_place_and_category",
            ),
        ),
        migrations.RunSQL(SHIPPED, migrations.RunSQL.noop),
    ]
