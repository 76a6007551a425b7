"""Killed and started again on the same directory, everything is there, and what was cut off is finished."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

from tests.devkit.conftest import TALLY, Hub, git, listening, serving, sign_in, wait_for


def again(old: Hub, new: Hub) -> None:
    """The client goes on with what it has."""
    new.tokens |= old.tokens


def test_a_kill_loses_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as hub:
        hub.control("PUT", "webhook", {"url": "http://127.0.0.1:9/nobody"})
        person = sign_in(hub, "grace")
        pull = hub.pull()
        merged = hub.pull()
        hub.api("PUT", f"{TALLY}/pulls/{merged['number']}/merge")
        hub.control("PUT", "repositories/4001/access/linus", {"role": "write"})
        hub.control("DELETE", "installations/3002")
        wait_for(
            lambda: {d["status"] for d in hub.control("GET", "deliveries")},
            lambda s: s == {"failed to connect to host"},
        )
        before, identity = hub.control("GET", "deliveries"), hub.server.identity
        hub.server.kill()
    with serving(tmp_path) as back:
        again(hub, back)
        assert {**back.server.identity, "api_url": "", "web_url": ""} == {**identity, "api_url": "", "web_url": ""}
        assert back.server.identity["web_url"] == back.server.url
        assert back.get(f"{TALLY}/pulls/{pull['number']}")["state"] == "open"
        assert back.get(f"{TALLY}/pulls/{merged['number']}")["merged"] is True
        assert back.get("/user", token=person["access_token"])["login"] == "grace"
        assert back.get(f"{TALLY}/collaborators/linus/permission")["permission"] == "write"
        assert back.control("GET", "deliveries") == before, "sent once, and not again after a restart"
        listed = back.api("GET", "/app/installations", token=back.server.app_token()).json()
        assert [i["id"] for i in listed] == [3001], "what was uninstalled stays so"
        assert back.pull()["number"] == merged["number"] + 1


def test_what_a_kill_cut_off_is_told_after_the_restart(tmp_path: Path) -> None:
    with listening() as listener:
        with serving(tmp_path, webhook=listener.url) as hub:
            pull, squashed, renamed = hub.pull(), hub.pull(), hub.pull()
            listener.wait("pull_request", "opened", number=3)
            hub.control("PUT", "webhooks-held", {"held": True})
            hub.control("PUT", "rename-delay", {"seconds": 60})
            name = renamed["head"]["ref"]
            hub.api("POST", f"{TALLY}/branches/{name}/rename", {"new_name": f"{name}-new"})
            assert hub.get(f"{TALLY}/pulls/{renamed['number']}")["state"] == "open", "it goes on in the background"
            hub.api("PUT", f"{TALLY}/pulls/{squashed['number']}/merge", {"merge_method": "squash"})
            hub.server.kill()
        known = len(listener.got)
        # as if git had taken a push, and the kill came before anything was told
        repository = tmp_path / "repositories" / "4001.git"
        tree = git("rev-parse", f"{pull['head']['sha']}^{{tree}}", cwd=repository)
        sha = git("commit-tree", tree, "-p", pull["head"]["sha"], "-m", "Pushed", cwd=repository)
        git("update-ref", f"refs/heads/{pull['head']['ref']}", sha, cwd=repository)
        with serving(tmp_path) as back:
            again(hub, back)
            moved = listener.wait("pull_request", "synchronize").body
            assert (moved["number"], moved["after"]) == (pull["number"], sha)
            closed = {listener.wait("pull_request", "closed", number=n).body["number"] for n in (1, 2)}
            assert closed == {squashed["number"], renamed["number"]}
            assert back.get(f"{TALLY}/pulls/{squashed['number']}")["merged"] is True
            assert back.get(f"{TALLY}/pulls/{renamed['number']}")["merged"] is False
            assert len(listener.got) > known


def test_the_first_start_is_repeatable(tmp_path: Path) -> None:
    """Killed while it made its samples, it makes them at the next start."""
    with serving(tmp_path) as hub:
        first = hub.get(f"{TALLY}/branches/main")["commit"]["commit"]["message"]
        hub.server.kill()
    with serving(tmp_path) as back:
        again(hub, back)
        assert back.get(f"{TALLY}/branches/main")["commit"]["commit"]["message"] == first == "Start"


def test_tokens_that_an_earlier_version_stored_by_login_go_on(tmp_path: Path) -> None:
    with serving(tmp_path) as hub:
        token = sign_in(hub, "grace")["access_token"]
        hub.server.kill()
    with sqlite3.connect(tmp_path / "github.db") as db:
        old = json.dumps({"kind": "user", "login": "grace", "expires": time.time() + 60})
        db.execute("UPDATE docs SET body=? WHERE kind='token' AND key=?", (old, token))
    with serving(tmp_path) as back:
        assert back.get("/user", token=token)["id"] == 1002
