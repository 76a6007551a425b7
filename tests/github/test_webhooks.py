"""Only what was signed with our secret is let in."""

from __future__ import annotations

import pytest

from foundry.github.errors import BadSignature
from foundry.github.webhooks import signature, verify

SECRET, BODY = "It's a Secret to Everybody", b"Hello, World!"
GIVEN = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"  # GitHub's documentation's example


def test_a_signature_is_as_github_makes_it() -> None:
    assert signature(SECRET, BODY) == GIVEN
    verify(SECRET, BODY, GIVEN)


@pytest.mark.parametrize(
    "header",
    [None, "", "sha256=", GIVEN.upper(), GIVEN[:-1], GIVEN.removeprefix("sha256="), "sha256=" + "0" * 64, "sha256=é"],
)
def test_any_other_signature_is_refused(header: str | None) -> None:
    with pytest.raises(BadSignature) as caught:
        verify(SECRET, BODY, header)
    assert (caught.value.code, caught.value.status) == ("bad_signature", 401)


def test_a_changed_body_or_another_secret_is_refused() -> None:
    for secret, body in ((SECRET, BODY + b" "), ("other", BODY)):
        with pytest.raises(BadSignature):
            verify(secret, body, GIVEN)


def test_without_a_secret_nothing_is_trusted() -> None:
    with pytest.raises(BadSignature, match="no webhook secret"):
        verify("", BODY, signature("", BODY))
