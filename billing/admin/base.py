"""What our admin pages share: read-only tables, amounts in words, and pages of our own in the admin's frame."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from billing import typed
from billing.admin import lists, stepping_up
from billing.events import staff_of
from billing.models import User
from billing.moves import IllegalMove, StaleMove
from billing.refusals import Refused
from billing.templatetags.tandem import money, number, tone


def amount(field: str, label: str | None = None, currency: str = "currency") -> Callable[[Any], str]:
    """A column that shows minor units as money, sorted by the stored amount."""

    def money_column(
        row: Any,
    ) -> str:  # its name is the class of its cells, by which they are set flush right
        return str(money(getattr(row, field), getattr(row, currency)))

    money_column.short_description = label or field.replace("_", " ")  # type: ignore[attr-defined]
    money_column.admin_order_field = field  # type: ignore[attr-defined]
    return money_column


def figure(
    field: str, label: str | None = None, write: Callable[[Any, Any], str] | None = None
) -> Callable[[Any], str]:
    """A column of numbers with the digits that they have, 19 for 19.000000000000; `write(value, row)` may say more."""

    def figure_column(row: Any) -> str:  # named for its cells' class, as above
        value = getattr(row, field)
        return write(value, row) if write and value is not None else number(value)

    figure_column.short_description = label or field.replace("_", " ")  # type: ignore[attr-defined]
    figure_column.admin_order_field = field  # type: ignore[attr-defined]
    return figure_column


def badge(words: str, tone: str = "") -> SafeString:
    """As `components/badge.html` writes it."""
    return format_html('<span class="badge{}">{}</span>', f" badge--{tone}" if tone else "", words)


def countries() -> list[tuple[str, str]]:
    """Codes and names, to choose among, in the order of the names."""
    return sorted(typed.countries().items(), key=lambda pair: pair[1])


def facts(rows: Iterable[tuple[str, Any]]) -> SafeString:
    """Names and values, one below the other."""
    return format_html(
        '<dl class="facts">{}</dl>', format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", rows)
    )


def state(field: str = "status", label: str | None = None) -> Callable[[Any], SafeString]:
    """A column that shows where a row stands as a badge, in the colour that the state has everywhere."""

    def state_column(row: Any) -> SafeString:
        return badge(getattr(row, f"get_{field}_display")(), tone(getattr(row, field)))

    state_column.short_description = label or field.replace("_", " ")  # type: ignore[attr-defined]
    state_column.admin_order_field = field  # type: ignore[attr-defined]
    return state_column


def staff(request: HttpRequest) -> str:
    """The actor's name for facts."""
    return staff_of(person(request).pk)


def person(request: HttpRequest) -> User:
    """Whoever is signed in; the admin lets nobody else in."""
    assert isinstance(request.user, User)
    return request.user


class Plain(forms.ModelForm):
    """Labels without colons, and decimals with the digits that they have: 80, not 80.00."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})
        for name, value in self.initial.items():
            if isinstance(value, Decimal):
                self.initial[name] = Decimal(format(value.normalize(), "f"))

    @staticmethod
    def checked(rule: Callable[..., Any], *given: Any) -> Any:
        """What a rule of ours makes of a field; its refusal is that field's error."""
        try:
            return rule(*given)
        except Refused as refusal:
            raise ValidationError(refusal.message, code=refusal.code) from refusal

    def check(self, rule: Callable[..., Any], *given: Any) -> Any:
        """What a rule of ours makes of several fields; its refusal stands at the one that it names."""
        try:
            return rule(*given)
        except Refused as refusal:
            self.add_error(refusal.field, refusal.message)
            return None


class Spoken(Plain):
    """A row of fields below the heads of a table: each says aloud what it is and whose.

    What was shown is sent along, so that a page left open saves the rows that its reader changed, and no others.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        whose = "new" if self.instance._state.adding else str(self.instance)
        for field in self.fields.values():
            # A choice with links beside it wraps the widget that is shown, and shares its attributes with every row.
            shown: Any = getattr(field.widget, "widget", field.widget)
            shown.attrs["aria-label"] = f"{field.label}: {whose}"
            field.show_hidden_initial = True


class Teaching(admin.ModelAdmin):
    """A list that says what will stand in it: `teaches` is (icon, title, text) while nothing does yet.

    `list_title` and `new_title` are its heading and its button's words where the model's own name would not do.
    """

    teaches: tuple[str, str, str] | None = None
    list_title = ""
    new_title = ""
    paginator = lists.Spanning
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count for each choice of each filter
    # Its rows become more with time, not with customers: nothing about it may read them all.
    grows = False
    # What is looked through beside `search_fields` until it has grown: parts of texts, of which no index knows.
    while_short: Sequence[str] = ()

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return lists.filters(self.model, super().get_list_filter(request))

    def choices(self, request: HttpRequest) -> lists.Choices:
        """What the filters offer."""
        return lists.read(request, self)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[lists.Listed]:
        return lists.Listed

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        request.choices = self.choices(request)  # type: ignore[attr-defined]
        return super().get_changelist_instance(request)

    def get_paginator(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        found: Any = super().get_paginator(request, *args, **options)
        found.span, found.grows = self.date_hierarchy, self.grows
        found.ends = request.choices.get(lists.ENDS, ())  # type: ignore[attr-defined]
        usual: list[Any] = list(self.ordering or self.opts.ordering or ())
        found.usual = usual if {"pk", "-pk"} & {*usual} else [*usual, "-pk"]
        return found

    def get_search_results(self, request: HttpRequest, rows: Any, text: str) -> tuple[Any, bool]:
        if not text or not self._sought_by_indexes():
            return super().get_search_results(request, rows, text)
        return lists.sought(rows, text, self.search_fields), False

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return [*self.search_fields, *self.while_short]

    def _sought_by_indexes(self) -> bool:
        if self.grows:
            return lists.long(self.model)
        return all(LOOKUP_SEP in field for field in self.search_fields)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        own = {"teaches": self.teaches, "list_title": self.list_title, "new_title": self.new_title}
        return super().changelist_view(request, {**own, **(extra_context or {})})


def chosen_alone(field: Any) -> Any:
    """A choice of a row is a choice: that row is made and changed on its own page, not from beside this one."""
    if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
        field.widget = field.widget.widget
    return field


def offer(field: Any, rows: Iterable[models.Model]) -> None:
    """Rows to choose among, read once: by itself the field asks for them each time that it is shown."""
    choices = [(row.pk, str(row)) for row in rows]
    field.queryset = field.queryset.model._default_manager.filter(pk__in=[pk for pk, _ in choices])
    field.choices = choices if field.required else [("", "---------"), *choices]


class Careful(Teaching):
    """A form that does not save over what somebody else saved since it was opened.

    `says` explains fields to whoever fills them in: name -> label and help, where the column's own are for
    developers. What a row only has once it exists is left out of the form that makes one.
    """

    change_form_template = "admin/careful_form.html"
    form: type[forms.ModelForm] = Plain
    says: Mapping[str, tuple[str, str]] = {}

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        field = chosen_alone(super().formfield_for_dbfield(db_field, request, **options))
        if field is not None and db_field.name in self.says:
            field.label, field.help_text = self.says[db_field.name]
        return field

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        groups = super().get_fieldsets(request, obj)
        return groups if obj is not None else list(_open(groups, self.get_readonly_fields(request)))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form = super().get_form(request, obj, change, **options)
        seen = request.POST.get("seen", "") if obj is not None else ""

        def clean(typed: Any) -> Any:
            given = form.clean(typed)
            if seen and seen != fingerprint(obj):
                raise ValidationError(
                    "Somebody else saved this after you opened it. Nothing was saved; what you typed is below. Open the "
                    "page again to see theirs, or save once more to have yours."
                )
            return given

        return type(form.__name__, (form,), {"clean": clean})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> Any:
        row = options.get("obj")
        context["seen"] = fingerprint(row) if row is not None else ""
        return super().render_change_form(request, context, *args, **options)


def _open(groups: Any, fixed: Sequence[str]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Groups of fields without those that cannot be typed."""
    for title, options in groups:
        if names := [name for name in options["fields"] if name not in fixed]:
            yield title, {**options, "fields": names}


def fingerprint(row: models.Model) -> str:
    """A short text that differs once a stored field of the row does."""
    fields = [field.attname for field in row._meta.concrete_fields]
    stored = type(row)._default_manager.filter(pk=row.pk).values_list(*fields).first()
    return sha256(repr(stored).encode()).hexdigest()[:20]


class StaffOwner(Careful):
    """A form whose owner is chosen among colleagues."""

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "owner":
            options["queryset"] = User.objects.filter(is_staff=True, is_active=True).order_by("name")
        return super().formfield_for_foreignkey(db_field, request, **options)


class EditableList(Careful):
    """A list with fields in its rows."""

    changelist_form: type[forms.ModelForm] = Spoken

    def get_changelist_form(self, request: HttpRequest, **options: Any) -> Any:
        return super().get_changelist_form(request, **{"form": self.changelist_form, **options})


class Remembering(Teaching):
    """A list that opens as its reader left it: search, filters and order are kept for the signed-in person.

    Leaving them out on the list itself ("All", "Clear all filters") forgets them. `begins` is the query with which it
    opens for whoever has left it with none, `wider` a query and its words for where that finds nothing.
    """

    begins = ""
    wider: tuple[str, str] | None = None

    def beginning(self, request: HttpRequest) -> str:
        """`begins`, for whoever asks."""
        return self.begins

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        kept = request.session.setdefault("lists", {})
        name, asked, begins = self.opts.label_lower, _lasting(request), self.beginning(request)
        if request.method == "GET" and not request.GET and (begun := kept.get(name, begins)):
            if not _from_itself(request):
                return redirect(f"{request.path}?{begun}")
            kept.pop(name, None)
            request.session.modified = True
        wider = self.wider if self.wider and asked != self.wider[0] else None
        own = {"begun": bool(asked) and asked == begins, "wider": wider}
        response = super().changelist_view(request, {**own, **(extra_context or {})})
        if request.method == "GET" and response.status_code == 200 and asked and kept.get(name) != asked:
            kept[name] = asked
            request.session.modified = True
        return response


def _lasting(request: HttpRequest) -> str:
    """The query without what is about one visit: the page, an error, a pop-up."""
    query = request.GET.copy()
    for name in ("p", "e", "_popup", "_to_field", "_facets"):
        query.pop(name, None)
    return query.urlencode()[:2000]


def _from_itself(request: HttpRequest) -> bool:
    """Was the list left out of its own links? Then nothing is wanted of it."""
    return urlsplit(request.headers.get("Referer", "")).path == request.path


class ReadOnly(Remembering):
    """A table to look at. Changes go through verbs, on pages made for them."""

    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


type Act = Callable[[HttpRequest, Any], str | HttpResponse | None]


class Screen(ReadOnly):
    """A model whose rows have a page of their own: `template`, `context(request, row)` and `acts`.

    An act is what one button does: it calls one verb and answers the words of success (or where to go, an address
    that begins with "/", or a page of its own). A refusal becomes a message; nothing typed is lost where `context`
    builds its forms from the request.
    """

    template = ""
    acts: Mapping[str, tuple[str, Act]] = {}
    # Acts (and "make") before which whoever is signed in says again who they are.
    guarded: frozenset[str] = frozenset()
    page_select_related: Sequence[str] = ()

    def find(self, request: HttpRequest, object_id: str) -> Any:
        for key in (object_id, unquote(object_id)):
            try:
                rows = self.get_queryset(request)
                rows = rows.select_related(*self.page_select_related) if self.page_select_related else rows
                row = rows.filter(pk=key).first()
            except (ValidationError, ValueError):
                continue
            if row is not None:
                return row
        raise Http404

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.find(request, object_id)
        self.refuse_looking(request, row)
        if request.method == "POST":
            return self.act(request, row)
        return self.page(request, row)

    def refuse_looking(self, request: HttpRequest, row: Any) -> None:
        """For every address of a row: `admin_view` alone only asks for staff."""
        if not self.has_view_permission(request, row):
            raise PermissionDenied

    def act(self, request: HttpRequest, row: Any) -> HttpResponse:
        name = request.POST.get("action", "")
        if name not in self.acts:
            raise Http404
        _, act = self.acts[name]
        if not self.may(request, row, name):
            raise PermissionDenied
        if name in self.guarded:
            stepping_up.ask(request)
        try:
            said = act(request, row)
        except Refused as refusal:
            return self.page(request, self.find(request, row.pk), status=422, refusal=refusal)
        except (IllegalMove, StaleMove) as refusal:
            messages.error(request, too_late(self.find(request, row.pk), refusal))
            return redirect(request.get_full_path())
        if isinstance(said, HttpResponse):
            return said
        if said and said.startswith("/"):
            return redirect(said)
        if said:
            messages.success(request, said)
        return redirect(request.get_full_path())

    def may(self, request: HttpRequest, row: Any, name: str) -> bool:
        """May whoever asks do this act to this row?"""
        needed, _ = self.acts[name]
        return not needed or request.user.has_perm(needed)

    def page(
        self, request: HttpRequest, row: Any, status: int = 200, refusal: Refused | None = None
    ) -> HttpResponse:
        own = self.context(request, row)
        if refusal is not None and not _beside_field(own.get("form"), refusal):
            messages.error(request, refusal.message)
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "row": row,
            "opts": self.model._meta,
            "can": {name for name in self.acts if self.may(request, row, name)},
            **own,
        }
        return TemplateResponse(request, self.template, context, status=status)

    def context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {}


class Makeable(Screen):
    """A screen with a page on which a row is made: `form_class`, and `make(request, what was typed)`."""

    form_class: type[forms.Form]
    new_note = ""
    new_button = "Make it"
    new_icon = "plus"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(f"billing.add_{self.opts.model_name}"))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = self.form_class(request.POST or None)
        if request.method == "POST" and form.is_valid():
            if "make" in self.guarded:
                stepping_up.ask(request)
            try:
                return self.make(request, form.cleaned_data)
            except Refused as refusal:
                if not _beside_field(form, refusal):
                    messages.error(request, refusal.message)
        context = {
            **self.admin_site.each_context(request),
            "title": self.new_title,
            "opts": self.opts,
            "note": self.new_note,
            "button": self.new_button,
            "icon": self.new_icon,
            "list_title": self.list_title,
            "form": form,
        }
        status = 422 if form.is_bound else 200
        return TemplateResponse(request, "admin/tandem/new.html", context, status=status)

    def make(self, request: HttpRequest, typed: dict[str, Any]) -> HttpResponse:
        raise NotImplementedError


def too_late(row: models.Model, refusal: IllegalMove | StaleMove) -> str:
    """A move that cannot be made from where the row is, mostly because a colleague was faster; `row` is fresh."""
    state = getattr(row, f"get_{getattr(row, 'STATE_FIELD', 'status')}_display", None)
    if isinstance(refusal, StaleMove) or state is None:
        return str(refusal).capitalize() + "."
    return f"Nothing was done: this {row._meta.verbose_name} is “{state().lower()}” by now."


def filled_in[F: forms.Form](form: F) -> F:
    """A form that was sent, for a verb to take; or the refusal of its first wrong field.

    The refusal names the field for where the form is not shown again; beside the field stand the form's own words.
    """
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        named = f"{form[field].label}: " if field in form.fields else ""
        raise Refused(f"{named}{errors[0]}", field=field)
    return form


def _beside_field(form: Any, refusal: Refused) -> bool:
    """Put a refusal where it was caused; False when no field of a form that was sent is to blame."""
    if not isinstance(form, forms.BaseForm) or not form.is_bound:
        return False
    form.full_clean()
    name = getattr(form, "field_of", str)(refusal.field or "")
    if name not in form.fields:
        return False
    if name not in form.errors:
        form.add_error(name, refusal.message)
    return True


def now_of(row: Any) -> Any:
    """The present of the customer that a row is about."""
    customer: models.Model | None = getattr(row, "customer", None)
    return customer.now if customer is not None else timezone.now()  # type: ignore[attr-defined]
