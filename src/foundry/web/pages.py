"""Renders whole pages, from models to HTML. Pure, like the fragments. A live page names its stream and versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from foundry.api.account import CreatedToken
from foundry.api.problems import Problem
from foundry.api.settings import GitHubView, SettingsView
from foundry.contracts.app_shell import ApiTokenView, AppSessionView, DeviceLoginView
from foundry.contracts.github_access import AccessState
from foundry.contracts.history import HistoryView
from foundry.contracts.organization import IssueView, OrganizationView
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxView
from foundry.contracts.task import TaskState, TaskSummary, TaskView, WorkTree
from foundry.contracts.task_checkpoints import CheckpointView
from foundry.contracts.task_session import Entry, SessionStatus, SessionView
from foundry.contracts.user_github_data import GitHubConnection
from foundry.web import fragments
from foundry.web.diff import files
from foundry.web.templating import template

CHANGES = "changes"


@dataclass(frozen=True)
class Frame:
    """The frame of every page inside an organization.

    Args:
        stream: the address of the page's live stream. Empty: the page has none.
        versions: the topic positions that the page shows, in the stream's format.
        github: the person's connection to GitHub.
        access: how much of what the person may see is known.
        sees_settings: the person may see the organization's settings.
    """

    me: Person
    organization: OrganizationView
    organizations: Sequence[OrganizationView]
    issues: Sequence[IssueView]
    stream: str = ""
    versions: str = ""
    github: GitHubConnection = field(default_factory=GitHubConnection)
    access: AccessState = AccessState.LISTED
    sees_settings: bool = True

    def values(self) -> dict[str, object]:
        return {
            "me": self.me,
            "organization": self.organization,
            "organizations": self.organizations,
            "badge": fragments.issues.badge(self.organization.id, self.issues),
            "stream": self.stream,
            "versions": self.versions,
            "sees_settings": self.sees_settings,
            "access": fragments.page.access(self.organization, self.access, self.github.reason),
        }


@dataclass(frozen=True)
class Offer:
    """A form that overrides a refusal."""

    action: str
    label: str
    fields: dict[str, str]
    confirm: str = ""


@dataclass(frozen=True)
class Typed:
    """The person's input in the form for a new task."""

    repository: str = ""
    prompt: str = ""
    title: str = ""
    branch: str = ""
    base: str = ""
    agent: str = ""
    auto_publish: bool = False
    from_task: str = ""  # the task of the checkpoint to start from
    from_checkpoint: str = ""  # the checkpoint to start from


@dataclass(frozen=True)
class Talk:
    """The session that a task's page shows, and its message box.

    Args:
        key: the next message's idempotency key.
        text: the text in the box, for example after a refusal. `problem` is the reason.
    """

    session: SessionView
    entries: Sequence[Entry] = field(default_factory=tuple)
    key: str = ""
    text: str = ""
    problem: Problem | None = None


def start(me: Person | None, next: str = "/", signed_out: str = "") -> Markup:
    """The sign-in page. A signed-in person without an organization gets instructions.

    Args:
        signed_out: why the app session has ended.
    """
    return template("start.html", me=me, next=next, signed_out=signed_out)


def account(
    me: Person,
    sessions: Sequence[AppSessionView],
    tokens: Sequence[ApiTokenView],
    *,
    created: CreatedToken | None = None,
    typed: str = "",
    problem: Problem | None = None,
) -> Markup:
    """A person's app sessions and API tokens.

    Args:
        created: a token that was just created. Only this page shows it.
        typed: the name in the form for a new token. `problem` is why it was refused.
    """
    return template(
        "account.html",
        me=me,
        sessions=sessions,
        tokens=tokens,
        created=created,
        typed=typed,
        problem=problem,
        flash=fragments.page.flash(),
    )


def device_login(
    me: Person,
    code: str = "",
    login: DeviceLoginView | None = None,
    *,
    problem: Problem | None = None,
    answered: str = "",
) -> Markup:
    """The page on which a person approves a command line's login.

    Args:
        login: the login with this code. None: the page asks for the code.
        answered: `approved` or `denied`, once it is.
    """
    return template("device_login.html", me=me, code=code, login=login, problem=problem, answered=answered)


def organization(frame: Frame, tasks: Sequence[TaskSummary], *, archived: bool, flash: Markup | None = None) -> Markup:
    shown = fragments.tasks.task_list(tasks, archived=archived)
    return template(
        "organization.html", **frame.values(), tasks=shown, archived=archived, flash=flash or fragments.page.flash()
    )


def settings(frame: Frame, settings: SettingsView, github: GitHubView, flash: Markup | None = None) -> Markup:
    """An organization's settings, and how Foundry stands with GitHub there."""
    shown = flash or fragments.page.flash()
    return template("settings.html", **frame.values(), settings=settings, github=github, flash=shown)


def new_task(
    frame: Frame,
    repositories: Sequence[RepositoryRef],
    agents: Sequence[str],
    typed: Typed,
    key: str,
    problem: Problem | None = None,
) -> Markup:
    return template(
        "new_task.html",
        **frame.values(),
        repositories=repositories,
        agents=agents,
        typed=typed,
        key=key,
        problem=problem,
    )


def issues(frame: Frame, app: Sequence[IssueView], flash: Markup | None = None) -> Markup:
    """The organization's runtime issues, and the server's issues if there are any."""
    lists = [fragments.issues.issue_list(frame.organization.id, "organization", frame.issues)]
    if app:
        lists.append(fragments.issues.issue_list(frame.organization.id, "app", app))
    return template("issues.html", **frame.values(), lists=lists, flash=flash or fragments.page.flash())


def task(
    frame: Frame,
    task: TaskView,
    sandbox: SandboxView | None,
    talk: Talk | None,
    *,
    checkpoints: Sequence[CheckpointView] = (),
    work: WorkTree | None = None,
    agents: Sequence[str] = (),
    may_write: bool = True,
    flash: Markup | None = None,
) -> Markup:
    """A task with one of its sessions, or with its changes if no session is given.

    Args:
        work: the work tree with its diff, if the changes are shown.
    """
    selected = talk.session.id if talk else CHANGES
    values: dict[str, object] = {"changes": "", "transcript": "", "state": "", "composer": ""}
    if talk is None:
        values["changes"] = fragments.task.changes(task, work or task.work)
    else:
        values["transcript"] = fragments.transcript.whole(talk.session.id, talk.entries, may_write=may_write)
        values["state"] = fragments.session.state(talk.session, may_write=may_write)
        if may_write and talk.session.status is not SessionStatus.CLOSED:
            values["composer"] = fragments.session.composer(talk.session.id, talk.key, talk.text, talk.problem)
    return template(
        "task.html",
        **frame.values(),
        task=task,
        selected=selected,
        flash=flash or fragments.page.flash(),
        head=fragments.task.head(task, may_write=may_write),
        phases=fragments.task.phases(task, may_write=may_write),
        tabs=fragments.task.tabs(task, selected, may_write=may_write, agents=agents),
        work=fragments.task.work(task, may_write=may_write),
        checkpoints=fragments.checkpoints.checkpoint_list(task, checkpoints, may_write=may_write),
        sandbox=fragments.sandbox.card(sandbox, may_write=may_write),
        **values,
    )


def checkpoint(
    frame: Frame, task: TaskView, one: CheckpointView, diff: str, *, cut: bool = False, may_write: bool = True
) -> Markup:
    """A checkpoint's content and the actions on it."""
    return template(
        "checkpoint.html",
        **frame.values(),
        task=task,
        one=one,
        words=fragments.checkpoints.REASONS[one.reason],
        files=files(diff),
        cut=cut,
        can_restore=may_write and task.state is TaskState.READY,
        can_begin=may_write,
    )


def repository(
    frame: Frame,
    repository: RepositoryRef,
    tasks: Sequence[TaskSummary],
    entries: Sequence[HistoryView],
    *,
    archived: bool,
    older: int | None = None,
) -> Markup:
    """A repository's tasks and its history.

    Args:
        older: the number to continue from for older entries; None if there are none.
    """
    return template(
        "repository.html",
        **frame.values(),
        repository=repository,
        tasks=fragments.tasks.task_list(tasks, archived=archived),
        history=fragments.repository.history(entries),
        archived=archived,
        older=older,
    )


def problem(me: Person | None, problem: Problem, back: str = "/", offer: Offer | None = None) -> Markup:
    """The error page, with the error and its remedy."""
    return template("problem.html", me=me, problem=problem, back=back, offer=offer)
