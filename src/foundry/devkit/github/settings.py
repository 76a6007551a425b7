"""The changes on GitHub's settings pages: installations, collaborators, repositories."""

from __future__ import annotations

import shutil

from foundry.devkit.cast import SampleRepository
from foundry.devkit.github.access import Access
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.refusals import NOT_FOUND, Refusal, invalid
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store, now


class Settings:
    """Changes of settings, each with its webhook. `by` defaults to an owner of the account."""

    def __init__(self, store: Store, access: Access, repos: Repositories, shapes: Shapes, hooks: Hooks) -> None:
        self.store, self.access, self.repos, self.shapes, self.hooks = store, access, repos, shapes, hooks

    def owner(self, account: str) -> str:
        """Return a person who may administer the account."""
        org = self.store.get("org", account)
        admins = [login for login, role in (org or {"members": {}})["members"].items() if role == "admin"]
        return admins[0] if admins else account

    # installations

    def install(self, account: str) -> Doc:
        """Install the App on an account, for all its repositories."""
        if self.shapes.known(account) is None:
            raise Refusal(404, NOT_FOUND)
        if self.access.installation_on(account):
            raise invalid("Installation", code="already_exists")
        number = self.store.next("installation") + 3_100
        made = {"id": number, "account": account, "suspended_at": None, "repositories": None}
        self.store.put("installation", number, made)
        self._tell_installation(made, "created")
        return made

    def suspend(self, installation: Doc) -> None:
        """Suspend an installation: its tokens are refused, and only this event is delivered until it is unsuspended."""
        if not installation["suspended_at"]:
            self._changed(installation | {"suspended_at": now()}, "suspend")

    def unsuspend(self, installation: Doc) -> None:
        if installation["suspended_at"]:
            self._changed(installation | {"suspended_at": None}, "unsuspend")

    def permit(self, installation: Doc, permissions: dict[str, str]) -> None:
        """Change an installation's permissions."""
        self._changed(installation | {"permissions": permissions}, "new_permissions_accepted")

    def _changed(self, installation: Doc, action: str) -> None:
        self.store.put("installation", installation["id"], installation)
        self._tell_installation(installation, action)

    def uninstall(self, installation: Doc) -> None:
        self._tell_installation(installation, "deleted")
        self.store.remove("installation", installation["id"])

    def _tell_installation(self, installation: Doc, action: str) -> None:
        account = installation["account"]
        inside = [self._brief(repo) for repo in self.access.inside(installation)]
        payload = {"action": action, "repositories": inside, "requester": None}
        self.hooks.send("installation", payload, account=account, sender=self.owner(account))

    def choose(self, installation: Doc, repositories: list[int] | None) -> None:
        """Limit the App to these repositories. None: all repositories."""
        account = installation["account"]
        own = {r["id"]: r for r in self.store.all("repo") if r["owner"] == account}
        if repositories is not None and not set(repositories) <= own.keys():
            raise invalid("Installation", field="repositories")
        before, after = (
            own.keys() if chosen is None else set(chosen) for chosen in (installation.get("repositories"), repositories)
        )
        changed = self.store.put("installation", installation["id"], installation | {"repositories": repositories})
        added, removed = sorted(after - before), sorted(before - after)
        self._tell_chosen(changed, "added", [own[number] for number in added])
        self._tell_chosen(changed, "removed", [own[number] for number in removed])

    def _tell_chosen(self, installation: Doc, action: str, which: list[Doc]) -> None:
        if which:
            payload = {
                "action": action, "repository_selection": "all" if installation["repositories"] is None else "selected",
                "repositories_added": [self._brief(repo) for repo in which if action == "added"],
                "repositories_removed": [self._brief(repo) for repo in which if action == "removed"],
                "requester": None,
            }  # fmt: skip
            account = installation["account"]
            self.hooks.send("installation_repositories", payload, account=account, sender=self.owner(account))

    def _brief(self, repo: Doc) -> Doc:
        body = self.shapes.repo(repo)
        return {key: body[key] for key in ("id", "node_id", "name", "full_name", "private")}

    # people

    def give_access(self, repo: Doc, login: str, role: str) -> None:
        """Make a person a collaborator with this role, or remove them (`none`)."""
        if self.store.get("user", login) is None:
            raise Refusal(404, NOT_FOUND)
        before = repo["access"].get(login)
        repo["access"] = {k: v for k, v in repo["access"].items() if k != login} | (
            {login: role} if role != "none" else {}
        )
        self.store.put("repo", repo["id"], repo)
        payload: Doc = {"action": "removed" if role == "none" else "edited" if before else "added"}
        payload["member"] = self.shapes.account(login)
        if role != "none":
            payload["changes"] = {"permission": {"from": before, "to": role} if before else {"to": role}}
        self._tell_repo(repo, "member", payload)

    # repositories

    def create(self, owner: str, name: str, *, private: bool, files: dict[str, str], access: dict[str, str]) -> Doc:
        if self.shapes.known(owner) is None:
            raise Refusal(404, NOT_FOUND)
        if self.repos.find(owner, name):
            raise invalid("Repository", field="name", code="custom", message="name already exists on this account")
        number = self.store.next("repository") + 4_100
        files = files or {"README.md": f"# {name}\n"}
        repo = self.repos.make(SampleRepository(number, owner, name, "", private, files, access))
        self.store.remove("moved", f"{owner}/{name}".lower())
        self._tell_repo(repo, "repository", {"action": "created"})
        return repo

    def create_many(self, owner: str, count: int, *, private: bool, prefix: str, access: dict[str, str]) -> list[int]:
        """Create repositories without contents, and without webhooks. Git creates each when somebody clones it."""
        first = (self.store.get("counter", "many") or {"n": 0})["n"] + 100_000
        numbers = list(range(first, first + count))
        with self.store.transaction():
            for number in numbers:
                self.repos.promise(number, owner, f"{prefix}-{number}", private=private, access=access)
            self.store.put("counter", "many", {"n": first + count - 100_000})
        return numbers

    def rename(self, repo: Doc, name: str) -> None:
        """Rename a repository. The old name redirects to it until another repository uses that name."""
        if self.repos.find(repo["owner"], name):
            raise invalid("Repository", field="name", code="custom", message="name already exists on this account")
        before = repo["name"]
        self._moved(repo)
        repo |= {"name": name, "updated_at": now()}
        self.store.put("repo", repo["id"], repo)
        self._tell_repo(
            repo, "repository", {"action": "renamed", "changes": {"repository": {"name": {"from": before}}}}
        )

    def transfer(self, repo: Doc, owner: str) -> None:
        """Transfer a repository to another account. Teams of the old account lose it.

        1. The old account's installation hears `installation_repositories` removed, if it covered the repository. 2. The
        new account's hears added, if it covers all repositories (both: polarsource/polar #1207). 3. It also hears
        `repository` transferred, which GitHub documents as sent to the new owner alone.
        """
        account = self.shapes.known(owner)
        if account is None:
            raise Refusal(404, NOT_FOUND)
        before, left = self.shapes.account(repo["owner"]), self.access.installation_on(repo["owner"])
        covered = self.access.covers(left, repo)
        with self.store.transaction():
            self._moved(repo)
            repo |= {"owner": account["login"], "updated_at": now()}
            self.store.put("repo", repo["id"], repo)
            self._leave_teams(repo)
            if left and left["repositories"] is not None:
                left["repositories"] = [number for number in left["repositories"] if number != repo["id"]]
                self.store.put("installation", left["id"], left)
        if left and covered:
            self._tell_chosen(left, "removed", [repo])
        entered = self.access.installation_on(repo["owner"])
        if entered and self.access.covers(entered, repo):
            self._tell_chosen(entered, "added", [repo])
        kind = "organization" if before["type"] == "Organization" else "user"
        self._tell_repo(repo, "repository", {"action": "transferred", "changes": {"owner": {"from": {kind: before}}}})

    def _leave_teams(self, repo: Doc) -> None:
        key = str(repo["id"])
        for team in self.store.all("team"):
            if key in team["repositories"]:
                kept = {number: role for number, role in team["repositories"].items() if number != key}
                self.store.put("team", team["id"], team | {"repositories": kept})

    def _moved(self, repo: Doc) -> None:
        self.store.put("moved", f"{repo['owner']}/{repo['name']}".lower(), {"repo": repo["id"]})

    def publish(self, repo: Doc, *, private: bool) -> None:
        repo |= {"private": private, "updated_at": now()}
        self.store.put("repo", repo["id"], repo)
        self._tell_repo(repo, "repository", {"action": "privatized" if private else "publicized"})

    def archive(self, repo: Doc, *, archived: bool) -> None:
        """Make a repository read-only, or writable again."""
        repo |= {"archived": archived, "updated_at": now()}
        self.store.put("repo", repo["id"], repo)
        self._tell_repo(repo, "repository", {"action": "archived" if archived else "unarchived"})

    def delete(self, repo: Doc) -> None:
        self._tell_repo(repo, "repository", {"action": "deleted"})
        self.store.remove("repo", repo["id"])
        self._leave_teams(repo)
        for pull in [p for p in self.store.all("pull") if p["repo"] == repo["id"]]:
            self.store.remove("pull", f"{repo['id']}/{pull['number']}")
        shutil.rmtree(self.repos.path(repo), ignore_errors=True)

    def _tell_repo(self, repo: Doc, event: str, payload: Doc) -> None:
        self.hooks.send(event, payload, account=repo["owner"], sender=self.owner(repo["owner"]), repo=repo)
