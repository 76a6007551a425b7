"""People's GitHub tokens against the stand-in GitHub: used, refreshed once, deleted, and never in the open."""

from __future__ import annotations

import asyncio
import logging
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import httpx2 as httpx
import pytest
import structlog
from sqlalchemy import text

from foundry.actors.user_github_data.actor import UserGitHubData
from foundry.actors.user_github_data.views import github_connection, person, sealed_tokens, unchecked
from foundry.contracts import addresses
from foundry.contracts.app_shell import SignIn
from foundry.contracts.errors import Forbidden
from foundry.contracts.github_payloads import GitHubAccount, UserToken
from foundry.contracts.ids import UserId
from foundry.contracts.people import Person
from foundry.contracts.user_github_data import (
    BeginRefresh,
    CheckTokens,
    ConnectionState,
    GitHubConnection,
    ReconnectNeeded,
    RefreshEnded,
    RefreshOutcome,
    StoreIdentity,
)
from foundry.github.client_base import Caller
from foundry.github.errors import GitHubUnavailable
from foundry.github.oauth import OAuth
from tests.actors.github_stage import GitHubStage, github_stage
from tests.actors.tree import ADA, person_of_token, tree
from tests.waiting import eventually

LINUS = Person(id=UserId("1003"), login="linus")
ME = addresses.user_github_data(ADA.id)
DUE = timedelta(hours=7, minutes=57)  # a token of eight hours lives for three minutes then
OVER = timedelta(hours=9)


class Counted:
    """GitHub's sign-in endpoint; counts what is sent there, and may hold it back."""

    def __init__(self, oauth: OAuth) -> None:
        self.oauth, self.sent, self.go = oauth, list[str](), asyncio.Event()
        self.go.set()

    async def refresh(self, refresh_token: str) -> UserToken:
        self.sent.append(refresh_token)
        await self.go.wait()
        return await self.oauth.refresh(refresh_token)


async def state(stage: GitHubStage) -> GitHubConnection:
    return await stage.tree.read(github_connection, ADA.id)


async def who_am_i(caller: Caller) -> str:
    return (await caller.get("/user", GitHubAccount)).login


async def fault(stage: GitHubStage, **more: object) -> None:
    await stage.control("POST", "faults", {"path": "oauth", **more})


async def test_a_fresh_token_is_used_as_it_is(store_url: str, tmp_path: Path) -> None:
    async with github_stage(store_url, tmp_path) as stage:
        assert (await state(stage)).state is ConnectionState.NONE
        with pytest.raises(ReconnectNeeded):
            await stage.door.as_person(ADA.id, who_am_i)
        made = await stage.sign_in()
        assert await stage.tree.outside.persons.token(ADA.id) == made.access_token
        assert await stage.door.as_person(ADA.id, who_am_i) == "ada"
        assert (await state(stage)).state is ConnectionState.CONNECTED


async def test_many_callers_on_two_replicas_refresh_once(store_url: str, tmp_path: Path) -> None:
    async with github_stage(store_url, tmp_path) as stage:
        made = await stage.sign_in()
        outside = stage.tree.outside
        oauth = Counted(outside.oauth)
        one, two = (outside.tokens(stage.tree, oauth) for _ in range(2))
        outside.ahead = DUE
        found = await asyncio.gather(*(tokens.token(ADA.id) for tokens in (one, two) * 5))
        assert len(set(found)) == 1
        assert found[0] != made.access_token
        assert oauth.sent == [made.refresh_token]
        assert await stage.door.as_person(ADA.id, who_am_i) == "ada"
        outside.ahead = 2 * DUE  # and again, with the new one
        assert await two.token(ADA.id) != found[0]
        assert len(set(oauth.sent)) == len(oauth.sent) == 2
        assert (await state(stage)).state is ConnectionState.CONNECTED


async def test_with_each_new_token_the_persons_login_is_looked_at_again(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.sign_in(ADA)
        await stage.control("PATCH", "people/ada", {"login": "countess"})
        stage.tree.outside.ahead = DUE
        assert await stage.door.as_person(ADA.id, who_am_i) == "countess"
        assert (await stage.tree.read(person, ADA.id)).login == "countess"


async def test_automatic_work_needs_the_persons_write_access_now(tmp_path: Path) -> None:
    """With the person's token, and with the App's for somebody who has none."""
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.synced()
        await stage.sign_in(ADA)
        await stage.door.require_push(stage.repository, ADA)
        grace = Person(id=UserId("1002"), login="grace")
        await stage.door.require_push(stage.repository, grace)
        for login in ("ada", "grace"):
            await stage.control("PUT", "organizations/lumen-works/members/ada", {"role": "member"})
            await stage.control("PUT", f"repositories/4001/access/{login}", {"role": "read"})
        for who in (ADA, grace, LINUS):
            with pytest.raises(Forbidden, match=rf"{who.login} has read access"):
                await stage.door.require_push(stage.repository, who)


async def test_while_it_is_refreshed_the_state_says_so_and_others_wait(store_url: str, tmp_path: Path) -> None:
    async with github_stage(store_url, tmp_path) as stage:
        made = await stage.sign_in()
        outside = stage.tree.outside
        oauth = Counted(outside.oauth)
        oauth.go.clear()
        one, two = outside.tokens(stage.tree, oauth), outside.tokens(stage.tree, oauth, wait=0.2)
        outside.ahead = DUE
        first = asyncio.create_task(one.token(ADA.id))
        await eventually(lambda: state(stage), lambda seen: seen.state is ConnectionState.REFRESHING)
        assert await two.token(ADA.id) == made.access_token, "it has three minutes left"
        outside.ahead = OVER
        with pytest.raises(GitHubUnavailable):
            await two.token(ADA.id)
        first.cancel()  # the person has gone away; the refresh has not
        oauth.go.set()
        await eventually(lambda: state(stage), lambda seen: seen.state is ConnectionState.CONNECTED)
        outside.ahead = timedelta()
        assert await stage.door.as_person(ADA.id, who_am_i) == "ada"
        assert oauth.sent == [made.refresh_token]


async def test_a_refresh_token_that_github_refuses_means_to_connect_again(store_url: str, tmp_path: Path) -> None:
    async with github_stage(store_url, tmp_path) as stage:
        made = await stage.sign_in()
        outside = stage.tree.outside
        await outside.oauth.refresh(made.refresh_token)  # somebody else has used it
        outside.ahead = DUE
        with pytest.raises(ReconnectNeeded) as caught:
            await outside.persons.token(ADA.id)
        assert "Connect GitHub again" in caught.value.remedy
        kept = await stage.tree.read(sealed_tokens, ADA.id)
        assert (kept.access_token, kept.refresh_token) == ("", None)
        seen = await state(stage)
        assert (seen.state, seen.reason) == (
            ConnectionState.RECONNECT, "GitHub no longer accepts Foundry's refresh token for you."
        )  # fmt: skip
        outside.ahead = timedelta()
        await stage.sign_in()
        assert await stage.door.as_person(ADA.id, who_am_i) == "ada"
        assert (await state(stage)).reason == ""


async def test_a_refresh_that_never_left_is_tried_again(store_url: str, tmp_path: Path) -> None:
    async with github_stage(store_url, tmp_path) as stage:
        made = await stage.sign_in()
        outside = stage.tree.outside
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # nobody listens there
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            away = outside.tokens(stage.tree, OAuth(url, "id", "secret", stage.http))
            outside.ahead = DUE
            assert await away.token(ADA.id) == made.access_token
            outside.ahead = OVER
            with pytest.raises(GitHubUnavailable):
                await away.token(ADA.id)
        assert (await state(stage)).state is ConnectionState.CONNECTED
        assert await outside.persons.token(ADA.id) != made.access_token


async def test_a_refresh_that_github_refuses_for_foundrys_sake_is_tried_again(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.sign_in()
        outside = stage.tree.outside
        known = stage.sample.identity
        wrong = outside.tokens(stage.tree, OAuth(known["web_url"], known["client_id"], "wrong", stage.http))
        outside.ahead = OVER
        with pytest.raises(GitHubUnavailable):
            await wrong.token(ADA.id)
        assert await outside.persons.token(ADA.id)


@pytest.mark.parametrize("after", [False, True], ids=["not done", "done"])
async def test_a_refresh_of_unknown_outcome_is_never_sent_again(store_url: str, tmp_path: Path, after: bool) -> None:
    """The old access token serves until its end, or until GitHub rejects it because it did refresh."""
    async with github_stage(store_url, tmp_path) as stage:
        made = await stage.sign_in()
        outside = stage.tree.outside
        oauth = Counted(outside.oauth)
        outside.persons._oauth = oauth
        outside.ahead = DUE
        await fault(stage, status=502, after=after)
        assert await outside.persons.token(ADA.id) == made.access_token
        seen = await state(stage)
        assert (seen.state, seen.reason[:37]) == (ConnectionState.RECONNECT, "A refresh of your GitHub token was in")
        if after:
            with pytest.raises(ReconnectNeeded):
                await stage.door.as_person(ADA.id, who_am_i)
        else:
            assert await stage.door.as_person(ADA.id, who_am_i) == "ada"
        outside.ahead = OVER
        with pytest.raises(ReconnectNeeded):
            await outside.persons.token(ADA.id)
        assert oauth.sent == [made.refresh_token]


async def test_killed_between_mark_and_end_it_is_never_sent_again(store_url: str, tmp_path: Path) -> None:
    played = UserGitHubData(refresh_limit=timedelta(seconds=0.3))
    async with github_stage(store_url, tmp_path, played=(played,)) as stage:
        await stage.sign_in()
        kept = await stage.tree.read(sealed_tokens, ADA.id)
        begin = BeginRefresh(attempt="rfr_killed", refresh_token=kept.refresh_token or "")
        assert await stage.tree.ask(ME, begin)
        assert await stage.tree.ask(ME, begin), "the attempt itself may ask again"
        assert not await stage.tree.ask(ME, begin.model_copy(update={"attempt": "rfr_other"}))
        await eventually(lambda: state(stage), lambda seen: seen.state is ConnectionState.RECONNECT)
        late = RefreshEnded(attempt="rfr_killed", outcome=RefreshOutcome.REFRESHED, access_token="late")
        await stage.tree.ask(ME, late)
        assert (await stage.tree.read(sealed_tokens, ADA.id)).refresh_token is None
        assert await stage.door.as_person(ADA.id, who_am_i) == "ada", "it was never sent, so the old token still works"
        stage.tree.outside.ahead = OVER
        with pytest.raises(ReconnectNeeded):
            await stage.tree.outside.persons.token(ADA.id)


async def test_a_token_that_github_rejects_is_refreshed_once(store_url: str, tmp_path: Path) -> None:
    async with github_stage(store_url, tmp_path) as stage:
        made = await stage.sign_in()
        persons, client_id = stage.tree.outside.persons, stage.sample.identity["client_id"]
        basic = httpx.BasicAuth(client_id, stage.sample.identity["client_secret"])
        url = f"{stage.sample.identity['api_url']}/applications/{client_id}/token"
        gone = await stage.http.request("DELETE", url, json={"access_token": made.access_token}, auth=basic)
        assert gone.status_code == 204
        assert await stage.door.as_person(ADA.id, who_am_i) == "ada"
        new = await persons.token(ADA.id)
        assert new != made.access_token
        await persons.rejected(ADA.id, made.access_token)  # a straggler's
        assert await persons.token(ADA.id) == new
        await stage.control("DELETE", "people/ada/authorization", None)
        with pytest.raises(ReconnectNeeded):
            await stage.door.as_person(ADA.id, who_am_i)
        assert (await state(stage)).state is ConnectionState.RECONNECT


async def published(stage: GitHubStage, branch: str, person: UserId) -> str:
    """Open a pull request that this person asked for. Returns its author's login."""
    await stage.push(branch)
    wish = {"head": branch, "base": "main", "title": branch, "body": "", "draft": False, "person": person}
    made = await stage.door.open_pull_request(stage.repository, **wish)
    again = await stage.door.open_pull_request(stage.repository, **wish)
    assert made == again
    seen = await stage.door.pull_request(stage.repository, made.number)
    assert seen is not None
    return seen.author


async def test_a_pull_request_is_the_persons_who_asked_for_it_where_that_works(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.synced()
        app = await published(stage, "nobody-signed-in", ADA.id)
        assert app not in ("ada", "linus")
        await stage.sign_in()
        assert await published(stage, "by-ada", ADA.id) == "ada"
        await stage.sign_in(LINUS)  # who may only read
        assert await published(stage, "by-linus", LINUS.id) == app
        await stage.control("DELETE", "people/ada/authorization", None)
        assert await published(stage, "revoked", ADA.id) == app
        assert (await state(stage)).state is ConnectionState.RECONNECT


async def test_a_pull_request_of_unknown_outcome_is_found_and_not_opened_twice(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.synced()
        await stage.sign_in()
        await stage.push("fix")
        await stage.control("POST", "faults", {"path": "/pulls", "method": "POST", "status": 502, "after": True})
        wish = {"head": "fix", "base": "main", "title": "fix", "body": "", "draft": False, "person": ADA.id}
        with pytest.raises(GitHubUnavailable):
            await stage.door.open_pull_request(stage.repository, **wish)
        made = await stage.door.open_pull_request(stage.repository, **wish)
        (found,) = await stage.door.pull_requests(stage.repository)
        assert (found.number, found.author) == (made.number, "ada")


async def test_who_revokes_the_access_on_github_is_signed_out_and_has_no_tokens(store_url: str, tmp_path: Path) -> None:
    async with github_stage(store_url, tmp_path, webhooks=True) as stage:
        await stage.synced()
        await stage.sign_in()
        hashes = {who.login: sha256(who.login.encode()).hexdigest() for who in (ADA, LINUS)}
        for who in (ADA, LINUS):
            signed = SignIn(token_hash=hashes[who.login], user=who.id, login=who.login)
            await stage.tree.ask(addresses.app_shell(), signed)
        await stage.control("DELETE", "people/ada/authorization", None)
        seen = await eventually(lambda: state(stage), lambda seen: seen.state is ConnectionState.RECONNECT)
        assert seen.reason == "You revoked Foundry's access on GitHub."
        await stage.tree.quiet()
        kept = await stage.tree.read(sealed_tokens, ADA.id)
        assert (kept.access_token, kept.refresh_token) == ("", None)
        assert await stage.tree.read(person_of_token, hashes["ada"]) is None
        assert await stage.tree.read(person_of_token, hashes["linus"]) == LINUS.id
        await stage.control("DELETE", "people/linus/authorization", None)  # who has no tokens here
        await stage.sign_in()
        assert await stage.door.as_person(ADA.id, who_am_i) == "ada"
        assert (await state(stage)).state is ConnectionState.CONNECTED


async def test_tokens_that_were_not_refreshed_in_time_are_deleted(store_url: str) -> None:
    async with tree(store_url) as stage:
        now = datetime.now(UTC)

        async def stored(access: float, refresh: float | None) -> None:
            identity = StoreIdentity(
                parent=addresses.app_shell(),
                person=ADA,
                access_token="sealed",
                refresh_token=None if refresh is None else "sealed too",
                expires_at=now + timedelta(seconds=access),
                refresh_expires_at=None if refresh is None else now + timedelta(seconds=refresh),
            )
            await stage.ask(ME, identity)
            await stage.quiet()

        async def left() -> tuple[str, str | None, ConnectionState]:
            kept, seen = await stage.read(sealed_tokens, ADA.id), await stage.read(github_connection, ADA.id)
            return kept.access_token, kept.refresh_token, seen.state

        await stored(access=-1, refresh=1000)
        assert await left() == ("sealed", "sealed too", ConnectionState.CONNECTED)
        await stored(access=-1, refresh=-1)
        assert await left() == ("", None, ConnectionState.RECONNECT)
        assert await stage.coming(ME) == []
        await stored(access=1000, refresh=-1)
        assert await left() == ("sealed", None, ConnectionState.RECONNECT)
        assert await stage.coming(ME) == ["tokens expire"]
        await stored(access=-1, refresh=None)
        assert await left() == ("", None, ConnectionState.RECONNECT)


async def test_a_row_of_the_last_release_is_watched_from_the_next_start_on(store_url: str) -> None:
    async with tree(store_url) as stage:
        identity = StoreIdentity(parent=addresses.app_shell(), person=ADA, access_token="a", refresh_token="r")
        await stage.ask(ME, identity)

        def as_stored_by_the_last_release(tx: object) -> None:
            tx.execute("UPDATE user_identities SET state=NULL, state_since=NULL")  # type: ignore[attr-defined]
            tx.execute("DELETE FROM schedules WHERE name='tokens expire'")  # type: ignore[attr-defined]

        await stage.runtime.system(ME, as_stored_by_the_last_release)
        assert (await stage.read(github_connection, ADA.id)).state is ConnectionState.CONNECTED
        assert await stage.read(unchecked) == [ADA.id]
        await stage.ask(ME, CheckTokens())
        assert await stage.read(unchecked) == []
        assert await stage.coming(ME) == ["tokens expire"]


async def test_no_token_is_in_the_database_or_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as said:
        async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
            made = await stage.sign_in()
            stage.tree.outside.ahead = DUE
            new = await stage.tree.outside.persons.token(ADA.id)
            assert await stage.door.as_person(ADA.id, who_am_i) == "ada"
            await fault(stage, status=502, after=True)
            stage.tree.outside.ahead = 2 * DUE
            await stage.tree.outside.persons.token(ADA.id)
            with pytest.raises(ReconnectNeeded) as caught:
                await stage.door.as_person(ADA.id, who_am_i)
            rows = await stage.tree.read(lambda r: r._connection.execute(text("SELECT * FROM asks")).all())
    with sqlite3.connect(tmp_path / "foundry.db") as database:
        dump = "\n".join(database.iterdump())
    everything = "\n".join([dump, caplog.text, str(said), str(rows), caught.value.detail, caught.value.remedy])
    assert "a person's GitHub token was refreshed" in everything
    for secret in (made.access_token, made.refresh_token, new, "ghu_", "ghr_"):
        assert secret
        assert secret not in everything


async def test_a_stranger_has_nothing(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.tree.outside.persons.rejected(UserId("999"), "ghu_x")
        with pytest.raises(ReconnectNeeded):
            await stage.tree.outside.persons.token(UserId("999"))
