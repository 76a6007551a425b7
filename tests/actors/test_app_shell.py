"""AppShell: who is signed in, and the issues of scope `app`."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

import pytest

from foundry.actors.app_shell.views import issues, person_of_token
from foundry.contracts import addresses
from foundry.contracts.app_shell import SignIn, SignOut
from foundry.contracts.errors import BadInput
from foundry.contracts.issues import EndFailure, RecordFailure
from foundry.contracts.messages import APP
from foundry.contracts.organization import ClearIssues, IssuesChanged
from tests.actors.tree import ADA, failure, tree

SHELL = addresses.app_shell()
TOKEN = sha256(b"a token").hexdigest()


async def test_a_person_is_signed_in_for_thirty_days(store_url: str) -> None:
    async with tree(store_url) as stage:
        expires = datetime.fromisoformat(await stage.ask(SHELL, SignIn(token_hash=TOKEN, user=ADA.id, login="ada")))
        assert await stage.read(person_of_token, TOKEN) == ADA.id
        last = expires - timedelta(seconds=1)
        assert await stage.read(person_of_token, TOKEN, last) == ADA.id
        assert await stage.read(person_of_token, TOKEN, expires) is None
        assert abs(expires - datetime.now(expires.tzinfo) - timedelta(days=30)) < timedelta(minutes=1)


async def test_each_sign_in_ends_by_itself(store_url: str) -> None:
    async with tree(store_url) as stage:
        phone = sha256(b"phone").hexdigest()
        for token in (TOKEN, phone):
            await stage.ask(SHELL, SignIn(token_hash=token, user=ADA.id, login="ada"))
        await stage.ask(SHELL, SignOut(token_hash=TOKEN))
        assert await stage.read(person_of_token, TOKEN) is None
        assert await stage.read(person_of_token, phone) == ADA.id


async def test_a_token_itself_is_not_taken(tmp_path: object) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        with pytest.raises(BadInput) as caught:
            await stage.ask(SHELL, SignIn(token_hash="the-token-itself", user=ADA.id, login="ada"))
        assert caught.value.field == "token_hash"


async def test_an_unknown_token_is_nobodys(tmp_path: object) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        assert await stage.read(person_of_token, TOKEN) is None


async def test_the_same_failure_is_one_issue_until_it_ends(store_url: str) -> None:
    async with tree(store_url) as stage:
        for message in ("first", "again"):
            await stage.ask(SHELL, RecordFailure(failure=failure("one", message, scope=APP)))
        await stage.ask(SHELL, RecordFailure(failure=failure("two", scope=APP)))
        found = {issue.failure.fingerprint: issue for issue in await stage.read(issues)}
        assert (found["one"].times, found["one"].failure.message) == (2, "again")
        assert found["one"].first_at <= found["one"].last_at
        await stage.ask(SHELL, EndFailure(fingerprint="one"))
        left = await stage.read(issues)
        assert [issue.failure.fingerprint for issue in left] == ["two"]
        word, body = (await stage.events(SHELL))[-1]
        assert word == "IssuesChanged"
        assert IssuesChanged.model_validate_json(body).issues == left


async def test_a_person_clears_one_issue_or_all(store_url: str) -> None:
    async with tree(store_url) as stage:
        for name in ("one", "two", "three"):
            await stage.ask(SHELL, RecordFailure(failure=failure(name, scope=APP)))
        first = (await stage.read(issues))[0]
        assert await stage.ask(SHELL, ClearIssues(issue=first.id)) == 1
        assert await stage.ask(SHELL, ClearIssues(issue=first.id)) == 0
        assert await stage.ask(SHELL, ClearIssues()) == 2
        assert await stage.read(issues) == []


async def test_what_was_never_reported_ends_in_silence(tmp_path: object) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await stage.ask(SHELL, EndFailure(fingerprint="never"))
        assert await stage.events(SHELL) == []
