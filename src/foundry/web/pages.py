"""Whole pages, from models to HTML. Pure, as the fragments are; what they show live names its stream and versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from foundry.api.problems import Problem
from foundry.contracts.history import HistoryView
from foundry.contracts.organization import IssueView, OrganizationView
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxView
from foundry.contracts.task import TaskState, TaskSummary, TaskView, WorkTree
from foundry.contracts.task_checkpoints import CheckpointView
from foundry.contracts.task_session import Entry, SessionStatus, SessionView
from foundry.web import render
from foundry.web.diff import files
from foundry.web.templating import template

CHANGES = "changes"


@dataclass(frozen=True)
class Frame:
    """What every page inside an organization has around it.

    Args:
        stream: the page's live stream; empty: it has none.
        versions: of what the page shows, as the stream's ids carry them.
    """

    me: Person
    organization: OrganizationView
    organizations: Sequence[OrganizationView]
    issues: Sequence[IssueView]
    stream: str = ""
    versions: str = ""

    def values(self) -> dict[str, object]:
        return {
            "me": self.me,
            "organization": self.organization,
            "organizations": self.organizations,
            "badge": render.issue_badge(self.organization.id, self.issues),
            "stream": self.stream,
            "versions": self.versions,
        }


@dataclass(frozen=True)
class Offer:
    """A form that goes on in spite of a refusal."""

    action: str
    label: str
    fields: dict[str, str]
    confirm: str = ""


@dataclass(frozen=True)
class Typed:
    """What a person has typed into the form for a new task."""

    repository: str = ""
    prompt: str = ""
    title: str = ""
    branch: str = ""
    base: str = ""
    agent: str = ""
    auto_publish: bool = False
    from_task: str = ""  # begin from this task's
    from_checkpoint: str = ""  # checkpoint


@dataclass(frozen=True)
class Talk:
    """The session that a task's page shows, and its message box.

    Args:
        key: the next message's idempotency key.
        text: what is in the box, e.g. after a refusal, whose reason is `problem`.
    """

    session: SessionView
    entries: Sequence[Entry] = field(default_factory=tuple)
    key: str = ""
    text: str = ""
    problem: Problem | None = None


def start(me: Person | None, next: str = "/") -> Markup:
    """Sign in; or, signed in, what to do about having no organization."""
    return template("start.html", me=me, next=next)


def organization(frame: Frame, tasks: Sequence[TaskSummary], *, archived: bool, flash: Markup | None = None) -> Markup:
    shown = render.task_list(tasks, archived=archived)
    return template(
        "organization.html", **frame.values(), tasks=shown, archived=archived, flash=flash or render.flash()
    )


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
    """The organization's runtime issues, and the server's if it has any."""
    lists = [render.issue_list(frame.organization.id, "organization", frame.issues)]
    if app:
        lists.append(render.issue_list(frame.organization.id, "app", app))
    return template("issues.html", **frame.values(), lists=lists, flash=flash or render.flash())


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
    """A task with one of its sessions; without one, with its changes.

    Args:
        work: with its diff, where the changes are shown.
    """
    selected = talk.session.id if talk else CHANGES
    values: dict[str, object] = {"changes": None, "transcript": None, "state": None, "composer": None}
    if talk is None:
        values["changes"] = render.changes(task, work or task.work)
    else:
        values["transcript"] = render.transcript(talk.session.id, talk.entries, may_write=may_write)
        values["state"] = render.session_state(talk.session, may_write=may_write)
        if may_write and talk.session.status is not SessionStatus.CLOSED:
            values["composer"] = render.composer(talk.session.id, talk.key, talk.text, talk.problem)
    return template(
        "task.html",
        **frame.values(),
        task=task,
        selected=selected,
        flash=flash or render.flash(),
        head=render.task_head(task, may_write=may_write),
        phases=render.phases(task, may_write=may_write),
        tabs=render.tabs(task, selected, may_write=may_write, agents=agents),
        work=render.work(task, may_write=may_write),
        checkpoints=render.checkpoints(task, checkpoints, may_write=may_write),
        sandbox=render.sandbox(sandbox, may_write=may_write),
        **values,
    )


def checkpoint(
    frame: Frame, task: TaskView, one: CheckpointView, diff: str, *, cut: bool = False, may_write: bool = True
) -> Markup:
    """What a checkpoint holds, and how to get it back."""
    return template(
        "checkpoint.html",
        **frame.values(),
        task=task,
        one=one,
        words=render.REASONS[one.reason],
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
    """A repository's tasks and what happened in it.

    Args:
        older: the number before which there are more entries.
    """
    return template(
        "repository.html",
        **frame.values(),
        repository=repository,
        tasks=render.task_list(tasks, archived=archived),
        history=render.history(entries),
        archived=archived,
        older=older,
    )


def problem(me: Person | None, problem: Problem, back: str = "/", offer: Offer | None = None) -> Markup:
    """What went wrong, and what to do, where there is no better place to say it."""
    return template("problem.html", me=me, problem=problem, back=back, offer=offer)
