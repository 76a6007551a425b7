"""Pull requests: opening, editing, merging for real in git, and what happens to their branches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.devkit.conftest import TALLY, Hub, git, wait_for


def refused(hub: Hub, **wish: object) -> tuple[int, str]:
    answer = hub.api("POST", f"{TALLY}/pulls", {"title": "x", "base": "main"} | wish)
    body = answer.json()
    first = (body.get("errors") or [{}])[0]
    return answer.status_code, first.get("message") or f"{first.get('field', '')} {body['message']}".strip()


def test_a_pull_request_has_githubs_shape(hub: Hub) -> None:
    branch = hub.branch(files={"a.txt": "1\n2\n"})
    pull = hub.pull(branch, body="Why", draft=True)
    assert pull["mergeable"] is None, "not worked out yet"
    pull = hub.get(f"{TALLY}/pulls/{pull['number']}")
    assert (pull["state"], pull["draft"], pull["merged"], pull["mergeable"]) == ("open", True, False, True)
    assert (pull["commits"], pull["additions"], pull["deletions"], pull["changed_files"]) == (1, 2, 0, 1)
    assert pull["head"]["label"] == f"lumen-works:{branch}"
    assert pull["base"]["ref"] == "main"
    assert pull["head"]["repo"]["id"] == pull["base"]["repo"]["id"] == 4001
    assert (pull["user"]["login"], pull["user"]["type"]) == ("foundry-sample[bot]", "Bot")
    assert (pull["labels"], pull["requested_reviewers"], pull["closed_at"]) == ([], [], None)
    assert pull["html_url"] == f"{hub.server.url}/lumen-works/tally/pull/{pull['number']}"
    (file,) = hub.get(f"{TALLY}/pulls/{pull['number']}/files")
    assert (file["filename"], file["status"]) == ("a.txt", "added")
    assert [c["commit"]["message"] for c in hub.get(f"{TALLY}/pulls/{pull['number']}/commits")] == [f"Work on {branch}"]


def test_a_pull_request_that_makes_no_sense_is_refused(hub: Hub) -> None:
    branch = hub.branch()
    sha = hub.get(f"{TALLY}/branches/main")["commit"]["sha"]
    hub.api("POST", f"{TALLY}/git/refs", {"ref": "refs/heads/level", "sha": sha})
    assert refused(hub, head="level") == (422, "No commits between main and level")
    assert refused(hub, head="nowhere") == (422, "head Validation Failed")
    assert refused(hub, head=branch, base="nowhere") == (422, "base Validation Failed")
    assert refused(hub, head=branch, title="")[0] == 422
    hub.pull(branch)
    assert refused(hub, head=branch) == (422, f"A pull request already exists for lumen-works:{branch}.")
    assert refused(hub, head=f"lumen-works:{branch}")[0] == 422


def test_lists_are_filtered_and_keep_their_order(hub: Hub) -> None:
    first, second = hub.pull(), hub.pull()
    hub.api("PATCH", f"{TALLY}/pulls/{first['number']}", {"title": "Changed last"})
    numbers = [p["number"] for p in hub.get(f"{TALLY}/pulls")]
    assert numbers == sorted(numbers, reverse=True), "the newest first, whatever was edited since"
    assert [p["number"] for p in hub.get(f"{TALLY}/pulls?direction=asc")] == sorted(numbers)
    assert [p["number"] for p in hub.get(f"{TALLY}/pulls?head=lumen-works:{second['head']['ref']}")] == [
        second["number"]
    ]
    assert hub.get(f"{TALLY}/pulls?base=nowhere") == []
    hub.api("PATCH", f"{TALLY}/pulls/{first['number']}", {"state": "closed"})
    assert first["number"] in [p["number"] for p in hub.get(f"{TALLY}/pulls?state=closed")]
    assert first["number"] not in [p["number"] for p in hub.get(f"{TALLY}/pulls")]
    assert "mergeable" not in hub.get(f"{TALLY}/pulls")[0], "lists leave out what has to be worked out"


def test_closing_and_reopening(hub: Hub) -> None:
    pull = hub.pull()
    url = f"{TALLY}/pulls/{pull['number']}"
    closed = hub.api("PATCH", url, {"state": "closed"}).json()
    assert (closed["state"], closed["merged"], closed["closed_at"] is None) == ("closed", False, False)
    assert hub.api("PATCH", url, {"state": "open"}).json()["closed_at"] is None
    hub.api("DELETE", f"{TALLY}/git/refs/heads/{pull['head']['ref']}")
    assert hub.get(url)["state"] == "closed", "its branch is gone"
    again = hub.api("PATCH", url, {"state": "open"})
    assert again.status_code == 422
    assert "has been deleted" in again.json()["errors"][0]["message"]


@pytest.mark.parametrize(("method", "parents"), [("merge", 2), ("squash", 1), ("rebase", 1)])
def test_merging_moves_the_base(hub: Hub, method: str, parents: int) -> None:
    branch = hub.branch()
    hub.push(branch, {f"{branch}-more.txt": "more"})
    hub.branch(f"beside-{branch}")
    merged_beside = hub.pull(f"beside-{branch}")  # so that the base has moved meanwhile
    assert hub.api("PUT", f"{TALLY}/pulls/{merged_beside['number']}/merge").status_code == 200
    pull = hub.pull(branch, title="Two files")
    answer = hub.api("PUT", f"{TALLY}/pulls/{pull['number']}/merge", {"merge_method": method})
    assert (answer.status_code, answer.json()["merged"]) == (200, True)
    main = hub.get(f"{TALLY}/branches/main")["commit"]
    assert main["sha"] == answer.json()["sha"]
    assert len(main["parents"]) == parents
    files = git("ls-tree", "--name-only", main["sha"], cwd=hub.server.directory / "repositories" / "4001.git")
    assert {f"{branch}.txt", f"{branch}-more.txt"} <= set(files.split())
    if method == "squash":
        assert main["commit"]["message"].splitlines()[0] == f"Two files (#{pull['number']})"
    after = hub.get(f"{TALLY}/pulls/{pull['number']}")
    assert (after["state"], after["merged"], after["merge_commit_sha"]) == ("closed", True, main["sha"])
    assert after["merged_by"]["login"] == "foundry-sample[bot]"
    assert after["commits"] == 2, "what it was does not change afterwards"
    assert hub.api("GET", f"{TALLY}/pulls/{pull['number']}/merge").status_code == 204
    assert hub.api("PATCH", f"{TALLY}/pulls/{pull['number']}", {"state": "open"}).status_code == 422


def test_what_cannot_be_merged_is_not(hub: Hub) -> None:
    def merge(pull: dict[str, Any], **body: object) -> int:
        return hub.api("PUT", f"{TALLY}/pulls/{pull['number']}/merge", body).status_code

    draft = hub.pull(draft=True)
    assert merge(draft) == 405
    open_ = hub.pull()
    assert merge(open_, sha="0" * 40) == 409
    assert merge(open_, sha=open_["head"]["sha"]) == 200
    assert merge(open_) == 405, "merged already"
    one, two = hub.branch(files={"same.txt": "one\n"}), hub.branch(files={"same.txt": "two\n"})
    assert merge(hub.pull(one)) == 200
    conflicting = hub.pull(two)
    seen = hub.get(f"{TALLY}/pulls/{conflicting['number']}")
    assert (seen["mergeable"], seen["mergeable_state"]) == (False, "dirty")
    for method in ("merge", "squash", "rebase"):
        assert merge(conflicting, merge_method=method) == 405
    assert git("worktree", "list", cwd=hub.server.directory / "repositories" / "4001.git").count("\n") == 0


def test_a_push_is_a_new_version_of_the_pull_request(hub: Hub) -> None:
    pull = hub.pull()
    sha = hub.push(pull["head"]["ref"], {"later.txt": "later"})
    after = hub.get(f"{TALLY}/pulls/{pull['number']}")
    assert (after["head"]["sha"], after["commits"]) == (sha, 2)
    repository = hub.server.directory / "repositories" / "4001.git"
    assert git("rev-parse", f"refs/pull/{pull['number']}/head", cwd=repository) == sha


def test_pushing_its_commits_to_the_base_merges_it(hub: Hub) -> None:
    pull = hub.pull()
    clone = hub.clone()
    git("merge", "-q", "--no-ff", "-m", "By hand", f"origin/{pull['head']['ref']}", cwd=clone)
    git("push", "-q", "origin", "main", cwd=clone)
    assert hub.get(f"{TALLY}/pulls/{pull['number']}")["merged"] is True


def test_renaming_a_base_retargets_and_renaming_a_head_closes(hub: Hub) -> None:
    base, head = hub.branch(), hub.branch()
    above = hub.branch(files={"above.txt": "x"}, base=base)
    on_base, of_head = hub.pull(above, base=base), hub.pull(head)
    renamed = hub.api("POST", f"{TALLY}/branches/{base}/rename", {"new_name": f"{base}/new"})
    assert (renamed.status_code, renamed.json()["name"]) == (201, f"{base}/new")
    hub.api("POST", f"{TALLY}/branches/{head}/rename", {"new_name": f"{head}-new"})
    wait_for(lambda: hub.get(f"{TALLY}/pulls/{of_head['number']}")["state"], lambda state: state == "closed")
    after = wait_for(lambda: hub.get(f"{TALLY}/pulls/{on_base['number']}"), lambda p: p["base"]["ref"] != base)
    assert (after["state"], after["base"]["ref"]) == ("open", f"{base}/new")
    assert hub.get(f"{TALLY}/pulls/{of_head['number']}")["merged"] is False
    moved = hub.api("GET", f"{TALLY}/branches/{base}")
    assert moved.status_code == 301
    assert moved.headers["Location"].endswith(f"/branches/{base}/new")


def test_a_rename_that_cannot_be_is_refused(hub: Hub) -> None:
    branch, other = hub.branch(), hub.branch()

    def rename(old: str, **body: object) -> int:
        return hub.api("POST", f"{TALLY}/branches/{old}/rename", body).status_code

    assert rename("nowhere", new_name="x") == 404
    assert rename(branch, new_name=other) == 422
    assert rename(branch, new_name="a..b") == 422
    assert rename(branch) == 422
    assert rename("main", new_name="trunk") == 403, "an App's installation administers nothing"
    narrow = hub.server.token(permissions={"contents": "read"})
    assert hub.api("POST", f"{TALLY}/branches/{branch}/rename", {"new_name": "x"}, token=narrow).status_code == 403


def test_labels_reviewers_and_comments(hub: Hub) -> None:
    pull = hub.pull()
    issue, url = f"{TALLY}/issues/{pull['number']}", f"{TALLY}/pulls/{pull['number']}"
    hub.api("POST", f"{issue}/labels", {"labels": ["bug", "small"]})
    asked = hub.api("POST", f"{url}/requested_reviewers", {"reviewers": ["grace"]})
    assert asked.status_code == 201
    after = hub.get(url)
    assert [label["name"] for label in after["labels"]] == ["bug", "small"]
    assert [r["login"] for r in after["requested_reviewers"]] == ["grace"]
    assert hub.api("POST", f"{url}/requested_reviewers", {"reviewers": ["margaret"]}).status_code == 422
    assert hub.api("DELETE", f"{issue}/labels/small").status_code == 200
    assert hub.api("DELETE", f"{issue}/labels/small").status_code == 404
    made = hub.api("POST", f"{issue}/comments", {"body": "Nice"}, token=hub.person("linus"))
    assert (made.status_code, made.json()["user"]["login"]) == (201, "linus")
    assert [c["body"] for c in hub.get(f"{issue}/comments")] == ["Nice"]
    assert hub.api("POST", f"{issue}/comments", {"body": " "}).status_code == 422
    assert hub.api("POST", f"{TALLY}/issues/999/comments", {"body": "x"}).status_code == 404
    assert hub.get(url)["comments"] == 1
