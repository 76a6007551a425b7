"""AppShell: who is signed in, and the issues of scope `app`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Executable, insert, update

from foundry.actors.app_shell.tables import app_audit, app_sessions
from foundry.actors.app_shell.views import (
    api_tokens_of,
    app_session,
    app_sessions_of,
    audit,
    credential_id,
    issues,
    token_of,
)
from foundry.contracts import addresses
from foundry.contracts.app_shell import (
    CreateToken,
    CredentialsEnded,
    EndSessions,
    RecordUse,
    Scope,
    SignIn,
    SignOut,
    Use,
)
from foundry.contracts.errors import BadInput, WrongState
from foundry.contracts.ids import UserId, is_id
from foundry.contracts.issues import EndFailure, RecordFailure
from foundry.contracts.messages import APP, millis
from foundry.contracts.organization import ClearIssues, IssuesChanged
from foundry.runtime.store.migrate import engine_of
from foundry.runtime.store.tables import schedules
from tests.actors.tree import ADA, failure, person_of_token, tree
from tests.waiting import eventually
from tests.world.world import World

SHELL = addresses.app_shell()
TOKEN = sha256(b"a token").hexdigest()


SECOND = timedelta(seconds=1)


def write(url: str, statement: Executable) -> None:
    """Change the database as another release, or a longer time, would have."""
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


async def sign_in(stage: World, name: str = "a token", **more: Any) -> str:
    """Sign Ada in. The hash of her session's token."""
    token = sha256(name.encode()).hexdigest()
    await stage.ask(SHELL, SignIn(token_hash=token, user=ADA.id, login="ada", **more))
    return token


async def create_token(stage: World, *scopes: Scope, **more: Any) -> str:
    """An API token of Ada's. Its hash."""
    token = sha256(b"an API token").hexdigest()
    wish = CreateToken(token_hash=token, user=ADA.id, login="ada", name="ci", scopes=list(scopes), **more)
    await stage.ask(SHELL, wish)
    return token


async def recorded(stage: World) -> list[str]:
    """What the audit log has, the oldest first."""
    return [one.what for one in reversed(await stage.read(audit, None, 100))]


async def test_a_session_ends_when_nobody_has_used_it_for_fourteen_days(store_url: str) -> None:
    async with tree(store_url) as stage:
        token = await sign_in(stage)
        now = datetime.now(UTC)
        assert await stage.read(person_of_token, token) == ADA.id
        assert await stage.read(person_of_token, token, now + timedelta(days=14) - 60 * SECOND) == ADA.id
        late = now + timedelta(days=14) + 60 * SECOND
        assert await stage.read(person_of_token, token, late) is None
        held = await stage.read(app_session, token, late)
        assert held.ended == "nobody used this session for too long"


async def test_a_use_makes_a_session_last_longer_and_says_from_where(store_url: str) -> None:
    async with tree(store_url) as stage:
        token = await sign_in(stage, device="Firefox on Linux", address="192.0.2.1")
        before = (await stage.read(app_sessions_of, ADA.id, datetime.now(UTC)))[0]
        assert (before.device, before.address) == ("Firefox on Linux", "192.0.2.1")
        await stage.ask(SHELL, RecordUse(uses=[Use(token_hash=token, address="192.0.2.2")]))
        after = (await stage.read(app_sessions_of, ADA.id, datetime.now(UTC)))[0]
        assert after.address == "192.0.2.2"
        assert after.used_at >= before.used_at
        assert after.expires_at >= before.expires_at
        assert after.created_at == before.created_at


async def test_a_session_lasts_at_most_ninety_days_however_often_it_is_used(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db", session_idle=timedelta(days=200)) as stage:
        token = await sign_in(stage)
        await stage.ask(SHELL, RecordUse(uses=[Use(token_hash=token, address="")]))
        late = datetime.now(UTC) + timedelta(days=90)
        assert await stage.read(person_of_token, token, late - 60 * SECOND) == ADA.id
        held = await stage.read(app_session, token, late + 60 * SECOND)
        assert held.ended == "a session lasts at most 90 days"


async def test_what_expires_ends_then_with_its_reason_and_is_told_to_its_streams(store_url: str) -> None:
    async with tree(store_url, session_idle=timedelta(milliseconds=300)) as stage:
        token = await sign_in(stage)

        async def ended() -> list[str]:
            return [word for word, _ in await stage.events(SHELL)]

        assert await eventually(ended) == ["CredentialsEnded"]
        held = await stage.read(app_session, token, datetime.now(UTC))
        assert held.ended == "nobody used this session for too long"
        assert await recorded(stage) == ["sign-in", "session ended"]


async def test_a_use_after_the_end_changes_nothing(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        session, token = await sign_in(stage), await create_token(stage, Scope.READ)
        await stage.say(EndSessions(user=ADA.id, reason="GitHub says so"), to=SHELL)
        uses = [Use(token_hash=one, address="192.0.2.9") for one in (session, token)]
        await stage.ask(SHELL, RecordUse(uses=uses))
        assert await stage.read(person_of_token, session) is None
        assert (await stage.read(token_of, token, datetime.now(UTC))).ended == "GitHub says so"
        assert "token used for the first time" not in await recorded(stage)


async def test_githubs_revocation_ends_all_sessions_and_tokens_of_that_person_alone(store_url: str) -> None:
    async with tree(store_url) as stage:
        sessions = [await sign_in(stage, name) for name in ("phone", "laptop")]
        token = await create_token(stage, Scope.WRITE)
        grace = sha256(b"grace").hexdigest()
        await stage.ask(SHELL, SignIn(token_hash=grace, user=UserId("1002"), login="grace"))
        await stage.say(EndSessions(user=ADA.id, reason="GitHub revoked Foundry's access"), to=SHELL)
        for session in sessions:
            found = await stage.read(app_session, session, datetime.now(UTC))
            assert found.ended == "GitHub revoked Foundry's access"
        assert (await stage.read(token_of, token, datetime.now(UTC))).ended == "GitHub revoked Foundry's access"
        assert await stage.read(person_of_token, grace) == "1002"
        told = [CredentialsEnded.model_validate_json(body) for word, body in await stage.events(SHELL)]
        assert {one.person for one in told} == {ADA.id}
        ids = {credential_id("aps", one) for one in sessions} | {credential_id("tok", token)}
        assert {id for one in told for id in one.ended} == ids


async def test_the_id_of_a_session_gives_neither_its_token_nor_the_hash_away(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        token = await sign_in(stage)
        found = (await stage.read(app_sessions_of, ADA.id, datetime.now(UTC)))[0]
        assert is_id(found.id, "aps")
        assert token[:8] not in found.model_dump_json()


async def test_write_includes_read_and_approve_does_not(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        token = await create_token(stage, Scope.WRITE, Scope.APPROVE)
        assert (await stage.read(token_of, token, datetime.now(UTC))).scopes == set(Scope)
        other = sha256(b"other").hexdigest()
        wish = CreateToken(token_hash=other, user=ADA.id, login="ada", name="answers", scopes=[Scope.APPROVE])
        await stage.ask(SHELL, wish)
        assert (await stage.read(token_of, other, datetime.now(UTC))).scopes == {Scope.APPROVE}


async def test_an_api_token_expires(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        token = await create_token(stage, Scope.READ, expires_in_days=30)
        late = datetime.now(UTC) + timedelta(days=30)
        assert not (await stage.read(token_of, token, late - 60 * SECOND)).ended
        assert (await stage.read(token_of, token, late + 60 * SECOND)).ended == "it has expired"
        assert await stage.read(api_tokens_of, ADA.id, late + 60 * SECOND) == []


async def test_a_person_has_at_most_a_hundred_tokens(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        for number in range(101):
            token = sha256(str(number).encode()).hexdigest()
            wish = CreateToken(token_hash=token, user=ADA.id, login="ada", name="x", scopes=[Scope.READ])
            if number < 100:
                await stage.runtime.ask(SHELL, wish)
            else:
                with pytest.raises(WrongState):
                    await stage.ask(SHELL, wish)


async def test_an_audit_line_is_deleted_after_four_hundred_days(store_url: str) -> None:
    async with tree(store_url) as stage:
        await sign_in(stage)
        assert "audit retention" in await stage.coming(SHELL)
        for days in (399, 401):
            at = millis(datetime.now(UTC) - timedelta(days=days))
            row = dict(app="app", id=f"aud_{days}", at=at, kind="admin", what=f"{days} days ago")
            write(store_url, insert(app_audit).values(row))
        write(store_url, update(schedules).where(schedules.c.name == "audit retention").values(due_at=1))

        async def left() -> list[str]:
            return await recorded(stage)

        assert await eventually(left, lambda found: len(found) == 2) == ["399 days ago", "sign-in"]


async def test_a_session_that_0_3_wrote_goes_on(store_url: str) -> None:
    """It has none of the new columns."""
    async with tree(store_url) as stage:
        now = datetime.now(UTC)
        row = dict(token_hash=TOKEN, user=ADA.id, login="ada", created_at=millis(now), expires_at=millis(now) + 60_000)
        write(store_url, insert(app_sessions).values(app="app", **row))
        assert await stage.read(person_of_token, TOKEN) == ADA.id
        found = (await stage.read(app_sessions_of, ADA.id, now))[0]
        assert (found.device, found.used_at) == ("", found.created_at)
        await stage.ask(SHELL, RecordUse(uses=[Use(token_hash=TOKEN, address="192.0.2.1")]))
        assert await stage.read(person_of_token, TOKEN, now + timedelta(days=13)) == ADA.id


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
