"""Secrets leave no text: plain, encoded, or as the userinfo of a URI."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.connections import DatabaseConnection, ObjectStoreConnection, WebServiceConnection
from tradewind.core.secrets import Secrets
from tradewind.errors import TradewindError, mask_userinfo


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:s3cret@mlflow:5000/api", "http://***@mlflow:5000/api"),
        ("postgresql+psycopg://ann:p@ss@db/x away", "postgresql+psycopg://***@db/x away"),
        ("https://token@host and s3://bucket/key", "https://***@host and s3://bucket/key"),
        ("write to ann@example.com, see https://example.com/a", "write to ann@example.com, see https://example.com/a"),
        ("'redis://:pw@127.0.0.1:6379/0'", "'redis://***@127.0.0.1:6379/0'"),
    ],
)
def test_a_uri_loses_its_userinfo(text: str, shown: str) -> None:
    assert mask_userinfo(text) == shown
    assert str(TradewindError(text)) == shown


@given(st.text("aB3@:/+ %&=é", min_size=4), st.text("0"), st.text("1"))
def test_no_form_of_a_secret_stays(secret: str, before: str, after: str) -> None:
    masks = Secrets([secret])
    encoded = base64.b64encode(secret.encode()).decode()
    for form in (secret, encoded, base64.urlsafe_b64encode(secret.encode()).decode(), quote(secret, safe="")):
        assert masks.mask(f"{before}<{form}>{after}") == f"{before}<***>{after}"


def test_a_short_value_masks_no_words() -> None:
    assert Secrets(["abc", ""]).mask("abcdef") == "abcdef"


def test_what_a_connection_holds_is_masked_and_not_printed() -> None:
    endpoint = WebServiceConnection("http://x", headers={"Authorization": "Bearer t0kent0ken"}, auth=("ann", "s3cret!"))
    basic = base64.b64encode(b"ann:s3cret!").decode()
    assert endpoint.secrets.mask(f"t0kent0ken s3cret! {basic}") == "*** *** ***"
    store = ObjectStoreConnection(
        {"AWS_SECRET_ACCESS_KEY": "verysecret", "AWS_SESSION_TOKEN": "session", "AWS_REGION": "eu-west-1"}
    )
    assert store.secrets.mask("verysecret session eu-west-1") == "*** *** eu-west-1"
    database = DatabaseConnection("postgres", lambda: None, secrets=Secrets(["dbpassword"]))
    assert "dbpassword" not in repr(database)
    assert "s3cret" not in repr(endpoint)
