"""Task: one branch of one repository, from the prompt to the merged pull request."""

from __future__ import annotations

from foundry.actors.task import checkpoints as keeping
from foundry.actors.task.branch_rename import closed_by_rename, names_of, refuse_renaming, unfinished, wait_for_rename
from foundry.actors.task.branch_sync import Following
from foundry.actors.task.jobs import Inspect, Provision, Publish, SaveWish
from foundry.actors.task.overdue import at_work, cut_short
from foundry.actors.task.release import Releasing
from foundry.actors.task.tables import task_sessions_known, tasks, waiting_prompts
from foundry.actors.task.transitions import advance
from foundry.actors.task.work_tree import grant, refuse_archived, refuse_unready, stir
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import MessageId, SandboxId, SessionId, TaskId, WorkflowId
from foundry.contracts.issues import WorkflowRecovered, WorkflowTrouble
from foundry.contracts.messages import millis
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import GitRejected, SandboxMissing
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import (
    ArchiveReason,
    ArchiveTask,
    BeginPhase,
    CreateTask,
    Named,
    OpenSession,
    Phase,
    PhaseTrouble,
    PromptEnded,
    PromptWaiting,
    Provisioned,
    Publishing,
    PublishTask,
    PullRequestOpened,
    PullRequestRef,
    PullRequestSeen,
    Pushed,
    RefreshWork,
    RetryProvisioning,
    SessionReady,
    SessionSeen,
    TaskState,
    TaskView,
    WorkSeen,
    WorkTree,
    title_of,
)
from foundry.contracts.task_checkpoints import CheckpointReason
from foundry.contracts.task_session import CloseSession, CreateSession, OpenAgent, SessionStatus
from foundry.runtime.actor import Actor, creates, handles, receives
from foundry.runtime.turn import AnyRow, Turn

NAMES = {"provision": "provisioning", "publish": "publishing", "inspect": "looking at the work", "release": "release"}


class Task(Releasing, Following, Actor):
    """Owns its phase and its pointers to sandbox, session and pull request; decides which prompt has the work tree.

    Never talks to GitHub or to a sandbox: its workflows do, through the doors. Never waits for either.
    """

    topic = "task"

    # its life

    @creates(CreateTask)
    def create(self, turn: Turn, command: CreateTask) -> TaskView:
        """1. Remember the wish. 2. Create the first session. 3. Start provisioning. Nothing is waited for."""
        if not turn.born:
            raise WrongState(f"task {turn.key} exists already")
        now = millis(turn.now)
        turn.insert(
            tasks,
            organization=command.repository.organization,
            repository=command.repository.model_dump_json(),
            prompt=command.prompt,
            title=command.title or title_of(command.prompt) or "Task",
            wanted_branch=command.branch,
            base=command.base or command.repository.default_branch,
            person=command.person.model_dump_json(),
            state=TaskState.PROVISIONING.value,
            phase=Phase.NAMING.value,
            phase_since=now,
            auto_publish=command.auto_publish,
            begins_from=command.checkpoint.model_dump_json() if command.checkpoint else None,
            agent=command.agent,
            sandbox=command.sandbox,
            active_session=command.session,
            created_at=now,
            changed_at=now,
        )
        self._add_session(turn, command.session, command.agent, command.prompt, command.person)
        turn.update(tasks, workflow=turn.start("provision", Provision(task=command.id)))
        return self.changed(turn)

    @handles(RetryProvisioning)
    def retry(self, turn: Turn, command: RetryProvisioning) -> TaskView:
        """1. What hangs or failed is tried again. 2. The same ids, so each step finds what the last try made."""
        row = turn.one(tasks)
        if self.begin_anew(turn, row):
            if row.state == TaskState.PROVISIONING:
                turn.update(tasks, attempt=row.attempt + 1, phase_since=millis(turn.now))
            return self.changed(turn)
        if row.rename and row.state == TaskState.READY and not row.rename_workflow:
            return self.retry_rename(turn)
        if row.state == TaskState.READY and row.phase != Phase.RUNNING:
            return self._retry_session(turn, row)
        if row.state != TaskState.FAILED:
            raise WrongState(
                f"the task is {row.state}; only a failed one is retried", remedy="Nothing needs to be retried."
            )
        turn.update(
            tasks,
            state=advance(TaskState(row.state), TaskState.PROVISIONING).value,
            attempt=row.attempt + 1,
            phase_since=millis(turn.now),
            trouble=None,
            workflow=turn.start("provision", Provision(task=TaskId(turn.key))),
        )
        return self.changed(turn)

    def _retry_session(self, turn: Turn, row: AnyRow) -> TaskView:
        """The sandbox is there and its first session is what failed."""
        known = turn.one(task_sessions_known, session=row.active_session)
        if known.status != SessionStatus.ERROR and not row.overdue:
            raise WrongState(f"the session is {known.status}; only a failed one is retried")
        turn.update(tasks, attempt=row.attempt + 1, phase_since=millis(turn.now), trouble=None)
        turn.send(addresses.session(SessionId(known.session)), OpenAgent(anew=True))
        return self.changed(turn)

    @handles(OpenSession)
    def open_session(self, turn: Turn, command: OpenSession) -> TaskView:
        """1. Create it as pending. 2. Ask for its agent at once if the sandbox is there, else when it is."""
        row = turn.one(tasks)
        refuse_archived(row)
        if turn.find(task_sessions_known, session=command.session) is None:
            self._add_session(turn, command.session, command.agent, command.prompt, command.person)
            if row.state == TaskState.READY:
                stir(turn)
                self._open_agents(turn, wake=row.resting)
        return self.changed(turn)

    @handles(ArchiveTask)
    def archive(self, turn: Turn, command: ArchiveTask) -> TaskView:
        """1. Refuse a second time. 2. Commit. 3. Save the work and release the sandbox in the background."""
        row = turn.one(tasks)
        refuse_archived(row)
        if row.rename_workflow:  # a branch between two names would be left behind
            refuse_renaming(row)
        reason = ArchiveReason.KILLED if command.kill else ArchiveReason.ARCHIVED
        return self._archive(turn, row, reason, discard=command.discard)

    def _archive(self, turn: Turn, row: AnyRow, reason: ArchiveReason, *, discard: bool) -> TaskView:
        if row.workflow:
            turn.cancel(WorkflowId(row.workflow))
        cut_short(turn)
        turn.update(
            tasks,
            state=advance(TaskState(row.state), TaskState.ARCHIVED).value,
            archived=reason.value,
            rename=None,
            note=unfinished(row) or row.note,
            workflow=None,
        )
        for known in turn.all(task_sessions_known):
            turn.send(addresses.session(SessionId(known.session)), CloseSession(reason=reason.value))
        turn.delete(waiting_prompts)
        self.give_back(turn, discard=discard)
        return self.changed(turn)

    # provisioning, step by step

    @handles(BeginPhase)
    def begin_phase(self, turn: Turn, command: BeginPhase) -> None:
        turn.update(tasks, phase=command.phase.value, phase_since=millis(turn.now), trouble=None)
        self.changed(turn)

    @handles(Named)
    def named(self, turn: Turn, command: Named) -> None:
        """Once the branch is assigned it stays (R4)."""
        row = turn.one(tasks)
        if row.branch is not None and row.branch != command.branch:
            raise WrongState(f"the task's branch is {row.branch} for good", field="branch")
        turn.update(tasks, branch=command.branch, title=command.title, base=command.base)
        self.changed(turn)

    @handles(Provisioned)
    def provisioned(self, turn: Turn, command: Provisioned) -> None:
        """1. The sandbox is ready. 2. Every pending session gets its agent; the phase goes on by their messages."""
        row = turn.one(tasks)
        turn.update(
            tasks,
            state=advance(TaskState(row.state), TaskState.READY).value,
            phase=Phase.CREATING_SESSION.value,
            phase_since=millis(turn.now),
            trouble=None,
            workflow=None,
        )
        if row.lost_sandbox:
            source = "the work of the last checkpoint" if row.begins_from else "the branch as GitHub has it"
            note = command.note or f"The sandbox was lost; this is a new one, with {source}."
            turn.update(tasks, lost_sandbox=None, note=note)
            turn.start("inspect", Inspect(sandbox=SandboxId(row.sandbox), base=row.base))
            self.loss_is_over(turn)
        self._open_agents(turn)
        self.changed(turn)

    @handles(WorkflowTrouble)
    def trouble(self, turn: Turn, command: WorkflowTrouble) -> None:
        """An attempt failed: shown with what to do. The last one ends what it was for."""
        trouble, row = command.trouble, turn.one(tasks)
        shown = PhaseTrouble(
            code=trouble.code,
            message=trouble.message,
            remedy=trouble.remedy,
            attempt=trouble.attempt,
            retry_at=trouble.retry_at,
        ).model_dump_json()
        over = trouble.retry_at is None
        if trouble.workflow == "provision" and row.workflow == trouble.workflow_id:
            turn.update(tasks, trouble=shown)
            if over:
                turn.update(tasks, state=advance(TaskState(row.state), TaskState.FAILED).value, workflow=None)
        elif trouble.workflow == "publish" and row.publish_workflow == trouble.workflow_id:
            turn.update(tasks, trouble=shown)
            if over:
                turn.update(tasks, publishing="", publish_workflow=None)
            if trouble.code == GitRejected.code:
                self.push_rejected(turn)
        elif trouble.workflow == "rename":
            self.rename_trouble(turn, trouble, PhaseTrouble.model_validate_json(shown))
        elif over and trouble.workflow == "checkpoint" and row.save_workflow == trouble.workflow_id:
            turn.update(tasks, save_trouble=shown)
            keeping.ended(turn)
        elif over and trouble.workflow == "fetch" and row.fetch_workflow == trouble.workflow_id:
            self.not_fetched(turn, f"{trouble.message} {trouble.remedy}")
        elif over and trouble.workflow == "rest" and row.rest_workflow == trouble.workflow_id:
            self.not_rested(turn, f"The sandbox was not stopped: {trouble.message} {trouble.remedy}")
        elif over and trouble.workflow == "release":
            self.is_kept(turn, f"{trouble.message} {trouble.remedy}".strip())
        elif over and trouble.workflow == "restore" and row.restore_workflow == trouble.workflow_id:
            turn.update(tasks, restore_workflow=None, note=f"Nothing was restored: {trouble.message} {trouble.remedy}")
            grant(turn)
        elif over:
            name = NAMES.get(trouble.workflow, trouble.workflow)
            turn.update(tasks, note=f"{name} failed: {trouble.message} {trouble.remedy}".strip())
        if over and trouble.code == SandboxGone.code and trouble.workflow_id in at_work(row):
            turn.send(turn.address, SandboxMissing(sandbox=SandboxId(row.sandbox)))
        self.changed(turn)

    @handles(WorkflowRecovered)
    def recovered(self, turn: Turn, command: WorkflowRecovered) -> None:
        """What was shown of failed attempts is over."""
        row = turn.one(tasks)
        if command.workflow_id in (row.workflow, row.publish_workflow):
            turn.update(tasks, trouble=None)
        elif command.workflow_id == row.rename_workflow:
            self.rename_recovered(turn)
        self.changed(turn)

    # sessions and the work tree (R6)

    @receives(SessionReady)
    def session_ready(self, turn: Turn, message: SessionReady) -> None:
        row = turn.one(tasks)
        turn.update(task_sessions_known, {"session": message.session}, resting=False)
        if row.phase == Phase.CREATING_SESSION and message.session == row.active_session:
            phase = Phase.SENDING_PROMPT if turn.all(waiting_prompts) else Phase.RUNNING  # nothing is left to send
            turn.update(tasks, phase=phase.value, phase_since=millis(turn.now), trouble=None)
        grant(turn)
        self.changed(turn)

    @receives(SessionSeen)
    def session_seen(self, turn: Turn, message: SessionSeen) -> None:
        """Its status, and what it means for the phase: running is reached, or creating the session failed."""
        seen, row = message.session, turn.one(tasks)
        trouble = seen.trouble.model_dump_json() if seen.trouble else None
        overdue = seen.overdue.model_dump_json() if seen.overdue else None
        told = {"status": seen.status, "title": seen.title, "trouble": trouble, "overdue": overdue}
        turn.update(task_sessions_known, {"session": seen.id}, **told)
        if seen.id == row.active_session and row.state == TaskState.READY:
            if seen.status == SessionStatus.RUNNING and row.phase != Phase.RUNNING:
                turn.update(tasks, phase=Phase.RUNNING.value, phase_since=millis(turn.now), trouble=None)
            elif row.phase != Phase.RUNNING:
                turn.update(tasks, trouble=trouble)
        if seen.status in (SessionStatus.READY, SessionStatus.IDLE):
            grant(turn)
        self.changed(turn)

    @receives(PromptWaiting)
    def prompt_waiting(self, turn: Turn, message: PromptWaiting) -> None:
        row = turn.one(tasks)
        if row.state == TaskState.ARCHIVED or turn.find(waiting_prompts, message=message.message):
            return
        number = millis(message.said_at or turn.now)
        turn.insert(waiting_prompts, message=message.message, session=message.session, number=number)
        grant(turn)

    @receives(PromptEnded)
    def prompt_ended(self, turn: Turn, message: PromptEnded) -> None:
        """1. The work tree is free. 2. The next prompt gets it. 3. Look at what was done."""
        row = turn.one(tasks)
        turn.delete(waiting_prompts, message=message.message)
        if row.running_message == message.message:
            turn.update(tasks, running_message=None)
        if row.state == TaskState.ARCHIVED:
            return
        grant(turn)
        if row.state == TaskState.READY:
            wish = SaveWish(reason=CheckpointReason.TURN, session=message.session, message=MessageId(message.message))
            keeping.wish(turn, wish)
            if row.auto_publish and message.outcome == "end_turn" and not row.publish_workflow and not row.rename:
                self._publish(turn, row, PublishTask(person=Person.model_validate_json(row.person)), by_itself=True)
        self.changed(turn)

    # publishing and the pull request

    @handles(RefreshWork)
    def refresh_work(self, turn: Turn, command: RefreshWork) -> None:
        row = turn.one(tasks)
        refuse_archived(row)
        refuse_unready(row)
        stir(turn)
        turn.start("inspect", Inspect(sandbox=SandboxId(row.sandbox), base=row.base))

    @handles(WorkSeen)
    def work_seen(self, turn: Turn, command: WorkSeen) -> bool:
        turn.update(tasks, work=command.work.model_dump_json())
        self.changed(turn)
        return command.work.unpushed > 0

    @handles(PublishTask)
    def publish(self, turn: Turn, command: PublishTask) -> TaskView:
        """Push and open the pull request; asked again while it runs, it goes on running."""
        row = turn.one(tasks)
        refuse_archived(row)
        if row.state != TaskState.READY:
            raise WrongState(f"the task is {row.state}; there is nothing to publish yet")
        refuse_renaming(row)
        if not row.publish_workflow:
            self._publish(turn, row, command, by_itself=False)
        return self.changed(turn)

    def _publish(self, turn: Turn, row: AnyRow, wish: PublishTask, *, by_itself: bool) -> None:
        job = Publish(
            sandbox=SandboxId(row.sandbox),
            repository=RepositoryRef.model_validate_json(row.repository),
            branch=row.branch,
            base=row.base,
            title=wish.title or row.title,
            body=wish.body if wish.body is not None else f"{row.prompt}\n\n---\nOpened by Foundry, task {turn.key}.",
            draft=wish.draft,
            by_itself=by_itself,
            person=wish.person,
        )
        stir(turn)
        turn.update(tasks, publish_workflow=turn.start("publish", job), publishing="looking at the work", trouble=None)

    @handles(Publishing)
    def publishing(self, turn: Turn, command: Publishing) -> None:
        turn.update(tasks, publishing=command.step)
        if not command.step:
            turn.update(tasks, publish_workflow=None, trouble=None)
        self.changed(turn)

    @handles(Pushed)
    def pushed(self, turn: Turn, command: Pushed) -> None:
        work = WorkTree.model_validate_json(turn.one(tasks).work)
        even = {"unpushed": 0, "head": command.head, "upstream": command.head, "behind": 0}
        turn.update(tasks, work=work.model_copy(update=even).model_dump_json())
        self.own_push(turn, command.head)
        self.changed(turn)

    @handles(PullRequestOpened)
    def pull_request_opened(self, turn: Turn, command: PullRequestOpened) -> None:
        known = self._pull_request(turn.one(tasks))
        if known is None or known.number != command.pull_request.number or known.state != "merged":
            turn.update(tasks, pull_request=command.pull_request.model_dump_json(), note="")
        self.changed(turn)

    @receives(PullRequestSeen)
    def pull_request_seen(self, turn: Turn, message: PullRequestSeen) -> None:
        """Merged -> archived. Closed unmerged -> the task stays and says so. Anything else -> remembered."""
        row = turn.one(tasks)
        if message.head not in names_of(row) or closed_by_rename(row, message):
            return
        known = self._pull_request(row)
        if known and known.number > message.number:
            return  # an older pull request of the same branch
        seen = PullRequestRef(number=message.number, state=message.state, url=message.url)
        if seen == known and message.state == "open":
            return  # no news; what the note says still holds
        note = "" if message.state == "open" else row.note
        if message.state == "closed":
            note = f"Pull request #{message.number} was closed without merging. Publish opens a new one."
        turn.update(tasks, pull_request=seen.model_dump_json(), note=note)
        if message.state == "merged" and row.state != TaskState.ARCHIVED and not wait_for_rename(turn, row):
            self._archive(turn, turn.one(tasks), ArchiveReason.MERGED, discard=False)
        else:
            self.changed(turn)

    # helpers

    def _add_session(self, turn: Turn, session: SessionId, agent: str, prompt: str | None, person: Person) -> None:
        row = turn.one(tasks)
        number = len(turn.all(task_sessions_known))
        turn.insert(
            task_sessions_known, session=session, number=number, agent=agent, status=SessionStatus.PENDING.value
        )
        turn.send(
            addresses.session(session),
            CreateSession(
                parent=turn.address,
                scope=turn.scope,
                id=session,
                task=TaskId(turn.key),
                repository=RepositoryRef.model_validate_json(row.repository),
                sandbox=SandboxId(row.sandbox),
                agent=agent,
                prompt=prompt,
                message=MessageId(turn.new_id("msg")) if prompt else None,
                person=person,
            ),
        )

    def _open_agents(self, turn: Turn, *, wake: bool = False) -> None:
        for known in turn.all(task_sessions_known, opening=False):
            turn.update(task_sessions_known, {"session": known.session}, opening=True)
            turn.send(addresses.session(SessionId(known.session)), OpenAgent(wake=wake))

    def _pull_request(self, row: AnyRow) -> PullRequestRef | None:
        return PullRequestRef.model_validate_json(row.pull_request) if row.pull_request else None
