"""The live style guide, and the frames that it shows."""

import re

import pytest

from config.styleguide import FACES, LONG

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def demo(settings):
    settings.DEMO = True


@pytest.mark.parametrize("face", FACES)
def test_it_shows_every_face(client, face):
    response = client.get(f"/styleguide/{face}/" if face else "/styleguide/")
    assert response.status_code == 200
    assert "{%" not in response.text
    assert "{#" not in response.text


@pytest.mark.parametrize("face", ["", "quote", "portal", "admin"])
def test_it_has_the_hard_cases(client, face):
    assert LONG in client.get(f"/styleguide/{face}/" if face else "/styleguide/").text.replace("&amp;", "&")


def test_it_is_not_there_for_customers(client, settings):
    settings.DEMO = settings.DEBUG = False
    assert client.get("/styleguide/").status_code == 404


def test_it_knows_no_other_faces(client):
    assert client.get("/styleguide/nothing/").status_code == 404


def test_a_field_is_joined_to_its_help_and_error(client):
    page = client.get("/styleguide/").text
    box = re.search(r'<input[^>]*id="wrong_company"[^>]*>', page)
    assert box
    assert 'aria-describedby="wrong_company_helptext wrong_company_error"' in box[0]
    assert 'id="wrong_company_helptext"' in page
    assert 'id="wrong_company_error"' in page


def test_every_id_is_there_once(client):
    for face in FACES:
        ids = re.findall(
            r'\sid="([^"]+)"', client.get(f"/styleguide/{face}/" if face else "/styleguide/").text
        )
        assert sorted(ids) == sorted(set(ids)), face


def test_the_policy_allows_no_inline_code(client):
    policy = client.get("/styleguide/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("code", [400, 403, 404, 405, 429, 500])
def test_the_error_pages_need_nothing(code):
    from django.template.loader import render_to_string

    assert str(code) in render_to_string(f"{code}.html")
