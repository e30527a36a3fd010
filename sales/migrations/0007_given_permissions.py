from django.db import migrations, models

GROUPS = ("Sales reps", "Sales managers", "Directors", "Finance", "Support", "Read-only")


def note_what_was_given(apps, schema_editor):
    """Groups from before: whatever could be given until now counts as given, so that nothing taken away comes back."""
    settings = apps.get_model("sales", "SalesSettings").objects.filter(pk=1).first()
    if settings is None:
        return
    rows = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label__in=("billing", "sales", "checkout")
    )
    names = sorted(f"{app}.{code}" for app, code in rows.values_list("content_type__app_label", "codename"))
    groups = apps.get_model("auth", "Group").objects.filter(name__in=GROUPS)
    settings.given_permissions = {group.name: names for group in groups}
    settings.save(update_fields=["given_permissions"])


class Migration(migrations.Migration):
    dependencies = [
        ("sales", "0006_quote_options"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AddField(
            model_name="salessettings",
            name="given_permissions",
            field=models.JSONField(
                default=dict, editable=False, help_text="what each shipped group was given once, by its name"
            ),
        ),
        migrations.RunPython(note_what_was_given, migrations.RunPython.noop),
    ]
