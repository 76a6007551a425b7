"""Every answer's headers, paging, conditional requests, rate limits; branches, refs, commits, comparisons."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2 as httpx
import pytest

from tests.devkit.conftest import TALLY, Hub, git


@pytest.fixture
def limited(hub: Hub) -> Iterator[Hub]:
    yield hub
    hub.control("PUT", "rate-limit", {})


def links(answer: httpx.Response) -> dict[str, str]:
    return {rel: url for url, rel in re.findall(r'<([^>]+)>; rel="(\w+)"', answer.headers.get("Link", ""))}


def test_an_unknown_api_version_is_refused(hub: Hub) -> None:
    assert hub.api("GET", TALLY, X_GitHub_Api_Version="1999-01-01").status_code == 400
    answer = hub.api("GET", TALLY, X_GitHub_Api_Version="2022-11-28")
    assert answer.headers["X-GitHub-Api-Version-Selected"] == "2022-11-28"
    other = hub.api("GET", TALLY)
    assert answer.headers["X-GitHub-Request-Id"] != other.headers["X-GitHub-Request-Id"]


def test_lists_are_paged_with_links(hub: Hub) -> None:
    head = hub.get(f"{TALLY}/git/ref/heads/main")["object"]["sha"]
    for number in range(5):
        made = hub.api("POST", f"{TALLY}/git/refs", {"ref": f"refs/heads/paged/{number}", "sha": head})
        assert made.status_code == 201
    first = hub.api("GET", f"{TALLY}/branches?per_page=2")
    assert len(first.json()) == 2
    assert set(links(first)) == {"next", "last"}
    seen, url = [b["name"] for b in first.json()], links(first)["next"]
    while url:
        page = hub.http.get(url, headers={"Authorization": f"Bearer {hub.token()}"})
        seen += [b["name"] for b in page.json()]
        assert {"prev", "first"} <= set(links(page))
        url = links(page).get("next", "")
    assert seen == sorted(set(seen))
    assert {f"paged/{n}" for n in range(5)} <= set(seen)
    assert hub.get(f"{TALLY}/branches?per_page=2&page=99") == []
    for number in range(5):
        assert hub.api("DELETE", f"{TALLY}/git/refs/heads/paged/{number}").status_code == 204


def test_an_answer_that_has_not_changed_is_304_and_free(hub: Hub) -> None:
    first = hub.api("GET", f"{TALLY}/branches?per_page=100")
    used = int(first.headers["X-RateLimit-Used"])
    again = hub.api("GET", f"{TALLY}/branches?per_page=100", If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert int(again.headers["X-RateLimit-Used"]) == used
    hub.branch()
    changed = hub.api("GET", f"{TALLY}/branches?per_page=100", If_None_Match=first.headers["ETag"])
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_requests_are_counted_and_refused_beyond_the_limit(limited: Hub) -> None:
    limited.control("PUT", "rate-limit", {"limit": 3})
    left = [int(limited.api("GET", TALLY).headers["X-RateLimit-Remaining"]) for _ in range(3)]
    assert left == [2, 1, 0]
    refused = limited.api("GET", TALLY)
    assert refused.status_code == 403
    assert refused.json()["message"] == "API rate limit exceeded for installation ID 3001."
    assert (refused.headers["X-RateLimit-Remaining"], refused.headers["X-RateLimit-Limit"]) == ("0", "3")
    assert limited.get("/rate_limit")["resources"]["core"]["used"] == 3, "asking costs nothing"
    assert limited.api("GET", "/user", token=limited.person("ada")).status_code == 200, "another budget"


def test_a_limit_may_say_when_to_come_back(limited: Hub) -> None:
    limited.control("PUT", "rate-limit", {"limit": 0, "status": 429, "retry_after": 7})
    refused = limited.api("GET", TALLY)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")


def test_a_fault_fails_the_next_requests_and_no_more(hub: Hub) -> None:
    hub.control(
        "POST", "faults", {"path": "tally/branches", "status": 502, "times": 2, "headers": {"Retry-After": "1"}}
    )
    got = [hub.api("GET", f"{TALLY}/branches") for _ in range(3)]
    assert [a.status_code for a in got] == [502, 502, 200]
    assert got[0].headers["Retry-After"] == "1"


def test_a_fault_may_hang_or_lose_the_answer_of_what_was_done(hub: Hub) -> None:
    hub.control("POST", "faults", {"path": "tally/branches", "seconds": 1})
    with pytest.raises(httpx.ReadTimeout):
        hub.http.get(
            f"{hub.server.api}{TALLY}/branches", timeout=0.2, headers={"Authorization": f"Bearer {hub.token()}"}
        )
    branch = hub.branch()
    hub.control("POST", "faults", {"path": "/pulls", "method": "POST", "status": 500, "after": True})
    lost = hub.api("POST", f"{TALLY}/pulls", {"title": "x", "head": branch, "base": "main"})
    assert lost.status_code == 500
    assert len(hub.get(f"{TALLY}/pulls?head=lumen-works:{branch}")) == 1
    assert hub.control("GET", "faults") == []


def test_repositories_are_found_by_name_in_any_case_and_by_id(hub: Hub) -> None:
    assert hub.get("/repos/Lumen-Works/TALLY")["id"] == hub.get("/repositories/4001")["id"] == 4001
    assert next(r["full_name"] for r in hub.get("/installation/repositories")["repositories"]) == "lumen-works/tally"
    assert hub.get("/orgs/lumen-works")["id"] == 2001
    assert hub.get("/users/ada")["name"] == "Ada Byron"
    assert hub.get("/users/foundry-sample%5Bbot%5D")["type"] == "Bot"


def test_refs_are_made_moved_and_deleted(hub: Hub) -> None:
    main = hub.get(f"{TALLY}/branches/main")["commit"]["sha"]
    tip = hub.get(f"{TALLY}/git/ref/heads/{hub.branch()}")["object"]["sha"]

    def send(method: str, path: str, **body: object) -> tuple[int, str]:
        answer = hub.api(method, f"{TALLY}/git/refs{path}", body)
        return answer.status_code, answer.json().get("message", "") if answer.content else ""

    assert send("POST", "", ref="refs/heads/a/b", sha=main) == (201, "")
    assert send("POST", "", ref="refs/heads/a/b", sha=main) == (422, "Reference already exists")
    assert send("POST", "", ref="refs/heads/c", sha="1" * 40) == (422, "Object does not exist")
    assert send("PATCH", "/heads/a/b", sha=tip) == (200, "")
    assert send("PATCH", "/heads/a/b", sha=main) == (422, "Update is not a fast forward")
    assert send("PATCH", "/heads/a/b", sha=main, force=True) == (200, "")
    assert send("DELETE", "/heads/a/b") == (204, "")
    assert send("DELETE", "/heads/a/b") == (422, "Reference does not exist")
    assert hub.api("GET", f"{TALLY}/branches/a/b").status_code == 404


def test_commits_and_comparisons_say_what_changed(hub: Hub) -> None:
    branch = hub.branch(files={"tally/new.py": "one\ntwo\n", "README.md": "# changed\n"})
    commit = hub.get(f"{TALLY}/commits/{branch}")
    assert commit["commit"]["message"] == f"Work on {branch}"
    assert commit["author"]["login"] == "grace", "known by the e-mail address"
    assert {f["filename"]: f["status"] for f in commit["files"]} == {"README.md": "modified", "tally/new.py": "added"}
    added = next(f for f in commit["files"] if f["filename"] == "tally/new.py")
    assert added["patch"] == "@@ -0,0 +1,2 @@\n+one\n+two"
    compared = hub.get(f"{TALLY}/compare/main...{branch}")
    assert (compared["status"], compared["ahead_by"], compared["behind_by"]) == ("ahead", 1, 0)
    assert hub.get(f"{TALLY}/compare/{branch}...main")["status"] == "behind"
    assert hub.get(f"{TALLY}/compare/main...main")["status"] == "identical"
    assert hub.api("GET", f"{TALLY}/compare/main...nowhere").status_code == 404
    missing = hub.api("GET", f"{TALLY}/commits/nowhere")
    assert (missing.status_code, missing.json()["message"]) == (422, "No commit found for SHA: nowhere")


def test_renames_and_removals_are_told_apart(hub: Hub) -> None:
    clone = hub.clone()
    git("mv", "tally/stats.py", "tally/numbers.py", cwd=clone)
    git("rm", "-q", "README.md", cwd=clone)
    git("commit", "-qm", "Move", cwd=clone)
    git("push", "-q", "origin", "HEAD:refs/heads/moved-file", cwd=clone)
    files = {f["filename"]: f for f in hub.get(f"{TALLY}/compare/main...moved-file")["files"]}
    assert (files["tally/numbers.py"]["status"], files["tally/numbers.py"]["previous_filename"]) == (
        "renamed",
        "tally/stats.py",
    )
    assert files["README.md"]["status"] == "removed"
    assert "patch" not in files["tally/numbers.py"]


def test_a_repository_that_moved_is_found_by_its_old_name(hub: Hub) -> None:
    made = hub.control("POST", "repositories", {"owner": "lumen-works", "name": "before"})
    hub.control("PATCH", f"repositories/{made['id']}", {"name": "after"})
    moved = hub.api("GET", "/repos/lumen-works/before/branches")
    assert moved.status_code == 301
    there = hub.http.get(moved.headers["Location"], headers={"Authorization": f"Bearer {hub.token()}"})
    assert [b["name"] for b in there.json()] == ["main"]
    assert hub.api("PATCH", "/repos/lumen-works/before/pulls/1", {}).status_code == 307
    assert hub.api("GET", "/repos/lumen-works/before", token=hub.token(3002)).status_code == 404
    hub.control("DELETE", f"repositories/{made['id']}")
    assert hub.api("GET", "/repos/lumen-works/after").status_code == 404
