"""Webhooks: signed, in order, sent once, recorded, and redelivered on request."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

import httpx2 as httpx

from tests.devkit.conftest import TALLY, Hub, Listener, git, wait_for


def as_app(hub: Hub, method: str, path: str, body: object = None) -> httpx.Response:
    return hub.api(method, path, body, token=hub.server.app_token())


def newest(hub: Hub, event: str) -> dict[str, Any]:
    listed = as_app(hub, "GET", "/app/hook/deliveries?per_page=100").json()
    return next(d for d in listed if d["event"] == event)


def test_a_delivery_is_signed_and_says_what_it_is(hub: Hub, hooks: Listener) -> None:
    hub.control("POST", "webhook/pings")
    got = hooks.wait("ping")
    secret = hub.server.identity["webhook_secret"].encode()
    assert got.headers["X-Hub-Signature-256"] == "sha256=" + hmac.new(secret, got.raw, hashlib.sha256).hexdigest()
    assert got.headers["X-Hub-Signature"] == "sha1=" + hmac.new(secret, got.raw, hashlib.sha1).hexdigest()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", got.headers["X-GitHub-Delivery"])
    assert got.headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert got.headers["X-GitHub-Hook-Installation-Target-Type"] == "integration"
    assert got.headers["X-GitHub-Hook-Installation-Target-ID"] == hub.server.identity["app_id"]
    assert got.body["hook"]["type"] == "App"


def test_a_push_and_its_pull_request_tell_their_story_in_order(hub: Hub, hooks: Listener) -> None:
    branch = hub.branch()
    pull = hub.pull(branch)
    sha = hub.push(branch, {"more.txt": "more"})
    hub.api("PATCH", f"{TALLY}/pulls/{pull['number']}", {"title": "Better"})
    hub.api("POST", f"{TALLY}/issues/{pull['number']}/comments", {"body": "Hm"}, token=hub.person("grace"))
    hub.api("PUT", f"{TALLY}/pulls/{pull['number']}/merge", {"merge_method": "squash"})
    hub.api("DELETE", f"{TALLY}/git/refs/heads/{branch}")
    hooks.wait("delete")
    wait_for(lambda: hooks.events(), lambda events: len(events) >= 10)
    assert hooks.events() == [
        "create", "push", "pull_request.opened", "push", "pull_request.synchronize", "pull_request.edited",
        "issue_comment.created", "push", "pull_request.closed", "delete", "push",
    ][: len(hooks.events())]  # fmt: skip
    created = hooks.wait("push").body
    assert (created["ref"], created["created"], created["before"]) == (f"refs/heads/{branch}", True, "0" * 40)
    pushed = hooks.wait("push", number=2).body
    assert (pushed["after"], pushed["head_commit"]["id"], pushed["forced"]) == (sha, sha, False)
    assert pushed["commits"][0]["added"] == ["more.txt"]
    assert isinstance(pushed["repository"]["pushed_at"], int), "as in GitHub's push events, and there alone"
    moved = hooks.wait("pull_request", "synchronize").body
    assert (moved["after"], moved["pull_request"]["head"]["sha"], moved["number"]) == (sha, sha, pull["number"])
    assert hooks.wait("pull_request", "edited").body["changes"] == {"title": {"from": f"From {branch}"}}
    said = hooks.wait("issue_comment").body
    assert (said["comment"]["body"], said["sender"]["login"], "pull_request" in said["issue"]) == ("Hm", "grace", True)
    closed = hooks.wait("pull_request", "closed").body
    assert (closed["pull_request"]["merged"], closed["installation"]["id"]) == (True, 3001)
    assert closed["organization"]["login"] == "lumen-works"
    assert closed["repository"]["full_name"] == "lumen-works/tally"


def test_the_head_of_a_renamed_branch_closes_unmerged(hub: Hub, hooks: Listener) -> None:
    pull = hub.pull()
    hub.api("POST", f"{TALLY}/branches/{pull['head']['ref']}/rename", {"new_name": f"{pull['head']['ref']}-new"})
    closed = hooks.wait("pull_request", "closed").body["pull_request"]
    assert (closed["merged"], closed["head"]["sha"]) == (False, pull["head"]["sha"])


def test_closed_and_reopened_are_told(hub: Hub, hooks: Listener) -> None:
    pull = hub.pull()
    for state in ("closed", "open"):
        hub.api("PATCH", f"{TALLY}/pulls/{pull['number']}", {"state": state})
    assert hooks.wait("pull_request", "closed").body["pull_request"]["merged"] is False
    assert hooks.wait("pull_request", "reopened").body["pull_request"]["state"] == "open"


def test_a_forced_push_says_so(hub: Hub, hooks: Listener) -> None:
    clone = hub.clone(branch=hub.branch())
    git("commit", "-q", "--amend", "-m", "Other", cwd=clone)
    git("push", "-q", "--force", "origin", "HEAD", cwd=clone)
    assert hooks.wait("push", number=2).body["forced"] is True


def test_a_failed_delivery_is_recorded_and_not_tried_again(hub: Hub, hooks: Listener) -> None:
    hooks.status = 500
    branch = hub.branch()
    hooks.wait("push")
    failed = wait_for(lambda: newest(hub, "push"), lambda d: d["status"] != "pending")
    assert (failed["status"], failed["status_code"]) == ("Invalid HTTP Response: 500", 500)
    hooks.status = 202
    assert hooks.events() == ["create", "push"]
    whole = as_app(hub, "GET", f"/app/hook/deliveries/{failed['id']}").json()
    assert whole["request"]["payload"]["ref"] == f"refs/heads/{branch}"
    assert whole["request"]["headers"]["X-GitHub-Event"] == "push"
    assert as_app(hub, "POST", f"/app/hook/deliveries/{failed['id']}/attempts").status_code == 202
    again = hooks.wait("push", number=2)
    assert again.headers["X-GitHub-Delivery"] == failed["guid"], "the same delivery, once more"
    assert again.raw == hooks.wait("push").raw
    second = wait_for(lambda: newest(hub, "push"), lambda d: d["status"] == "OK")
    assert (second["redelivery"], second["guid"], second["id"] > failed["id"]) == (True, failed["guid"], True)


def test_deliveries_are_listed_by_cursor(hub: Hub, hooks: Listener) -> None:
    for _ in range(5):
        hub.control("POST", "webhook/pings")
    hooks.wait("ping", number=5)
    first = as_app(hub, "GET", "/app/hook/deliveries?per_page=3")
    assert len(first.json()) == 3
    assert "payload" not in first.json()[0]
    (following,) = re.findall(r'<([^>]+cursor=\d+[^>]*)>; rel="next"', first.headers["Link"])
    page = hub.http.get(following, headers={"Authorization": f"Bearer {hub.server.app_token()}"}).json()
    ids = [d["id"] for d in first.json() + page]
    assert ids == sorted(set(ids), reverse=True)


def test_webhooks_can_be_held_and_dropped(hub: Hub, hooks: Listener) -> None:
    hub.control("PUT", "webhooks-held", {"held": True})
    hub.branch()
    assert newest(hub, "push")["status"] == "pending"
    assert hooks.got == []
    hub.control("PUT", "webhooks-held", {"held": False})
    hooks.wait("push")
    assert hooks.events() == ["create", "push"]
    hub.control("PUT", "webhooks-dropped", {"dropped": True})
    hub.branch()
    lost = wait_for(lambda: newest(hub, "push"), lambda d: d["status"] != "pending")
    hub.control("PUT", "webhooks-dropped", {"dropped": False})
    assert lost["status"] == "failed to connect to host"
    assert len(hooks.got) == 2


def test_what_owners_change_is_told(hub: Hub, hooks: Listener) -> None:
    hub.control("PUT", "repositories/4001/access/linus", {"role": "write"})
    changed = hooks.wait("member", "edited").body
    assert (changed["member"]["login"], changed["changes"]) == (
        "linus",
        {"permission": {"from": "read", "to": "write"}},
    )
    hub.control("PUT", "repositories/4001/access/linus", {"role": "read"})
    hub.control("PUT", "organizations/lumen-works/members/margaret", {"role": "member"})
    assert hooks.wait("organization", "member_added").body["membership"]["user"]["login"] == "margaret"
    hub.control("PUT", "organizations/lumen-works/members/margaret", {"role": "none"})
    hooks.wait("organization", "member_removed")
    made = hub.control("POST", "repositories", {"owner": "lumen-works", "name": "fresh"})
    assert hooks.wait("repository", "created").body["repository"]["id"] == made["id"]
    hub.control("PATCH", f"repositories/{made['id']}", {"name": "fresher", "private": False})
    assert hooks.wait("repository", "renamed").body["changes"] == {"repository": {"name": {"from": "fresh"}}}
    hooks.wait("repository", "publicized")
    hub.control("PATCH", "installations/3001", {"repositories": [4001]})
    assert [r["id"] for r in hooks.wait("installation_repositories", "removed").body["repositories_removed"]] == [
        made["id"]
    ]
    assert hub.api("GET", f"/repositories/{made['id']}/collaborators/ada/permission").status_code == 200, "public still"
    hub.control("PATCH", "installations/3001", {"repositories": "all"})
    assert hooks.wait("installation_repositories", "added").body["repository_selection"] == "all"
    hub.control("DELETE", f"repositories/{made['id']}")
    hooks.wait("repository", "deleted")


def test_installing_and_uninstalling_are_told(hub: Hub, hooks: Listener) -> None:
    made = hub.control("POST", "installations", {"account": "ada"})
    created = hooks.wait("installation", "created").body
    assert (created["installation"]["id"], created["installation"]["account"]["type"]) == (made["id"], "User")
    hub.control("PATCH", f"installations/{made['id']}", {"suspended": True})
    assert hooks.wait("installation", "suspend").body["installation"]["suspended_at"] is not None
    hub.control("PATCH", f"installations/{made['id']}", {"suspended": False})
    hooks.wait("installation", "unsuspend")
    hub.control("DELETE", f"installations/{made['id']}")
    hooks.wait("installation", "deleted")
    assert as_app(hub, "GET", f"/app/installations/{made['id']}").status_code == 404


def test_an_uninstalled_or_unchosen_repository_tells_nothing(hub: Hub, hooks: Listener) -> None:
    hub.control("PATCH", "installations/3001", {"suspended": True})
    hub.control("PUT", "repositories/4001/access/linus", {"role": "write"})
    hub.control("PUT", "repositories/4001/access/linus", {"role": "read"})
    hub.control("PATCH", "installations/3001", {"suspended": False})
    hooks.wait("installation", "unsuspend")
    assert hooks.events() == ["installation.suspend", "installation.unsuspend"]
