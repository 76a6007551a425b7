"""Git itself over HTTP: who may clone and push, and that big, compressed and interrupted pushes work."""

from __future__ import annotations

import base64
import random
from pathlib import Path

from tests.devkit.conftest import Hub, git


def advertised(hub: Hub, name: str, service: str, token: str = "", *, basic: bool = True) -> int:
    headers = {}
    if token:
        pair = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}" if basic else f"Bearer {token}"
    url = f"{hub.server.url}/{name}.git/info/refs?service={service}"
    answer = hub.http.get(url, headers=headers)
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="GitHub"'
    return answer.status_code


def test_reading_needs_contents_read_and_pushing_contents_write(hub: Hub) -> None:
    read = hub.server.token(repository_ids=[4001], permissions={"contents": "read"})
    nothing = hub.server.token(repository_ids=[4001], permissions={"pull_requests": "write"})
    private, public = "lumen-works/tally", "north-harbor/tideboard"
    fetch, push = "git-upload-pack", "git-receive-pack"
    assert advertised(hub, private, fetch) == 401
    assert advertised(hub, private, fetch, "wrong") == 401
    assert advertised(hub, private, fetch, read) == 200
    assert advertised(hub, private, fetch, read, basic=False) == 200
    assert advertised(hub, private, push, read) == 403
    assert advertised(hub, private, fetch, nothing) == 404
    assert advertised(hub, private, fetch, hub.token(3002)) == 404, "another installation's"
    assert advertised(hub, public, fetch) == 200
    assert advertised(hub, public, push) == 401
    assert advertised(hub, public, fetch, read) == 200, "public is public"
    assert advertised(hub, public, push, hub.token()) == 403
    assert advertised(hub, "lumen-works/nothing", fetch) == 401
    assert advertised(hub, "lumen-works/nothing", fetch, hub.token()) == 404
    assert advertised(hub, private, push, hub.person("grace")) == 200
    assert advertised(hub, private, push, hub.person("linus")) == 403


def test_git_says_what_went_wrong(hub: Hub, tmp_path: Path) -> None:
    said = git("clone", hub.url("ghs_wrong"), "x", cwd=tmp_path, fails=True)
    assert "Authentication failed" in said
    read = hub.server.token(permissions={"contents": "read"})
    clone = hub.clone()
    said = git("push", hub.url(read), "HEAD:refs/heads/forbidden", cwd=clone, fails=True)
    assert "403" in said
    (clone / "a").write_text("a")
    git("add", ".", cwd=clone)
    git("commit", "-qm", "a", cwd=clone)
    git("push", "-q", "origin", "HEAD:refs/heads/forked", cwd=clone)
    git("commit", "-q", "--amend", "-m", "b", cwd=clone)
    said = git("push", "origin", "HEAD:refs/heads/forked", cwd=clone, fails=True)
    assert "rejected" in said
    git("push", "-q", "--force", "origin", "HEAD:refs/heads/forked", cwd=clone)


def test_a_push_larger_than_one_chunk_arrives_whole(hub: Hub) -> None:
    content = random.Random(7).randbytes(3_000_000).hex()  # does not compress to nothing, so git sends chunks
    branch = hub.branch(files={"big.txt": content})
    clone = hub.clone(branch=branch)
    assert (clone / "big.txt").read_text() == content


def test_many_refs_make_a_compressed_request_which_is_understood(hub: Hub) -> None:
    clone = hub.clone()
    for number in range(40):
        git("commit", "-q", "--allow-empty", "-m", str(number), cwd=clone)
        git("branch", f"many/{number}", cwd=clone)
    git("push", "-q", "origin", "--all", cwd=clone)
    other = hub.clone()  # its negotiation is larger than a kilobyte, which git compresses
    git("fetch", "-q", "--all", cwd=other)
    assert git("rev-parse", "origin/many/39", cwd=other) == git("rev-parse", "many/39", cwd=clone)
    git("push", "-q", "origin", "--delete", *(f"many/{n}" for n in range(40)), cwd=clone)


def test_an_app_without_workflows_may_not_push_workflows(hub: Hub) -> None:
    clone = hub.clone()
    (clone / ".github/workflows").mkdir(parents=True)
    (clone / ".github/workflows/ci.yml").write_text("on: push\n")
    git("add", ".", cwd=clone)
    git("commit", "-qm", "CI", cwd=clone)
    narrow = hub.server.token(permissions={"contents": "write"})
    said = git("push", hub.url(narrow), "HEAD:refs/heads/with-ci", cwd=clone, fails=True)
    assert "refusing to allow a GitHub App to create or update workflow `.github/workflows/ci.yml`" in said
    may = hub.server.token(permissions={"contents": "write", "workflows": "write"})
    git("push", "-q", hub.url(may), "HEAD:refs/heads/with-ci", cwd=clone)


def test_pull_requests_heads_can_be_fetched_but_not_pushed(hub: Hub) -> None:
    pull = hub.pull()
    clone = hub.clone()
    ref = f"refs/pull/{pull['number']}/head"
    assert pull["head"]["sha"] not in git("ls-remote", "origin", "refs/pull/999/head", cwd=clone)
    git("fetch", "-q", "origin", ref, cwd=clone)
    assert git("rev-parse", "FETCH_HEAD", cwd=clone) == pull["head"]["sha"]
    assert "hidden" in git("push", "origin", f"HEAD:{ref}", cwd=clone, fails=True)


def test_git_follows_a_renamed_repository(hub: Hub, tmp_path: Path) -> None:
    made = hub.control("POST", "repositories", {"owner": "lumen-works", "name": "old-name", "files": {"a": "b"}})
    hub.control("PATCH", f"repositories/{made['id']}", {"name": "new-name"})
    git("clone", "-q", hub.url(hub.token(), "lumen-works/old-name"), "got", cwd=tmp_path)
    assert (tmp_path / "got/a").read_text() == "b"
    hub.control("DELETE", f"repositories/{made['id']}")


def test_a_fault_meets_git_too(hub: Hub, tmp_path: Path) -> None:
    hub.control("POST", "faults", {"path": "git", "status": 503, "message": "GitHub is down"})
    assert "503" in git("clone", hub.url(hub.token()), "x", cwd=tmp_path, fails=True)
    git("clone", "-q", hub.url(hub.token()), "x", cwd=tmp_path)
