"""Commands that move money or take something away ask why, and write it down first."""

import json
from importlib import import_module

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from billing import customers
from billing.management.deeds import Deed
from billing.models import Event, User
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db
WHY = "Asked for by letter of 3 March"
# What the others do; a command that is in neither list fails, so that somebody decides.
HARMLESS = {
    "api_key": "who may come in; no money",
    "app_role": "what a database role may; the tables' owner alone can",
    "check_books": "reads",
    "compare_charges": "reads",
    "rebuild_figures": "sums are made of what is there",
    "demo": "sample data, not in production",
    "doctor": "reads",
    "scenario": "the sandbox of a server that it is told",
    "schedules": "when jobs run",
    "ship": "adds what ships and is missing",
    "payment_scripts": "reads",
    "verify_facts": "reads",
}
ASK_WHY = {"bill", "erase_person", "export_person", "retain"}


def ours():
    apps = {"billing", "sales", "checkout", "portal", "config"}
    return {name: app for name, app in get_commands().items() if app in apps}


def test_every_command_of_ours_was_thought_about():
    deeds = {name for name, app in ours().items() if isinstance(load_command_class(app, name), Deed)}
    assert deeds == ASK_WHY
    assert ours().keys() == ASK_WHY | HARMLESS.keys()


def test_no_other_command_calls_what_moves_money():
    """A harmless one does not know the modules that do."""
    movers = (
        "collecting",
        "refunding",
        "paying_out",
        "correcting",
        "carrying_out",
        "invoicing",
        "issuing",
        "settling",
    )
    for name in HARMLESS.keys() - {"demo"}:
        module = import_module(f"{ours()[name]}.management.commands.{name}")
        assert not set(movers) & set(vars(module)), name


UNSAID = [
    ["bill"],
    ["bill", "--reason", "because"],
    ["export_person", "a@b.example", "--to", "x.zip"],
    ["erase_person", "a@b.example", "--yes"],
    ["retain", "--yes"],
]


@pytest.mark.parametrize("given", UNSAID)
def test_without_a_reason_nothing_is_done(catalogue, given):
    with pytest.raises(CommandError, match="--reason: say why"):
        call_command(*given)
    assert not Event.objects.exists()


def test_who_and_why_are_written_before_it_is_done(catalogue, monkeypatch):
    monkeypatch.setattr("os.getlogin", lambda: "ada")

    def dies(**options):
        raise RuntimeError("killed")

    monkeypatch.setattr("billing.running.run", dies)
    with pytest.raises(RuntimeError):
        call_command("bill", "--reason", WHY, "--threads", "1")
    event = Event.objects.get(type="command.run")
    assert (event.actor, event.object_id, event.livemode) == ("command:ada", "cmd_bill", True)
    assert event.data == {"command": "bill", "reason": WHY, "arguments": {"threads": 1}}


@pytest.fixture
def jane(make_customer):
    customers.add_member(
        customer=make_customer(),
        email="jane@nova.example",
        role="owner",
        name="Jane Doe",
        now=NOON,
        actor="user:1",
    )


def test_a_person_is_exported(jane, tmp_path):
    path = tmp_path / "jane.zip"
    call_command("export_person", "Jane@nova.example", "--to", str(path), "--reason", WHY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes()[:2] == b"PK"
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_person", "jane@nova.example", "--to", str(path), "--reason", WHY)
    assert "jane" not in json.dumps(
        list(Event.objects.filter(type="command.run").values_list("data", flat=True))
    )


def test_a_person_is_erased_only_when_that_is_said(jane, capsys):
    call_command("erase_person", "jane@nova.example")
    assert "Jane Doe. With --yes" in capsys.readouterr().out
    assert User.objects.filter(email="jane@nova.example").exists()
    call_command("erase_person", "jane@nova.example", "--yes", "--reason", WHY)
    assert "Erased (prv_" in capsys.readouterr().out
    assert not User.objects.filter(email="jane@nova.example").exists()


def test_what_stands_against_it_is_said(make_customer, capsys):
    make_customer(name="Solo", email="jane@nova.example")
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("erase_person", "jane@nova.example", "--yes", "--reason", WHY)
    assert "address of the account Solo" in capsys.readouterr().err
