"""TaskSession: one conversation with one agent; its queue, its transcript, its permission requests."""

from __future__ import annotations

from typing import Literal

from foundry.actors.task_session.conversation import Conversation
from foundry.actors.task_session.drafts import keep
from foundry.actors.task_session.failures import Troubles
from foundry.actors.task_session.gaps import fill, give_up
from foundry.actors.task_session.jobs import CloseServer
from foundry.actors.task_session.permissions import Permissions
from foundry.actors.task_session.row import State
from foundry.actors.task_session.starts import (
    give_up_opening,
    look_at_agent,
    look_back,
    open_agent,
    reconnect,
    send_prompt,
    stop_opening,
    tell_to_stop,
    wake_agent,
)
from foundry.actors.task_session.stream_reducer import Reading
from foundry.actors.task_session.tables import session_messages, sessions
from foundry.actors.task_session.transitions import Verdict
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import MessageId, SandboxId, SessionId
from foundry.contracts.messages import millis, utc
from foundry.contracts.overdue import Action
from foundry.contracts.people import Person
from foundry.contracts.sandbox_provider import SandboxUnreachable
from foundry.contracts.session_status_sync import Follow
from foundry.contracts.session_stream import (
    AgentSeen,
    ChooseServer,
    FillGaps,
    Ingest,
    PromptSent,
    PromptUnknown,
    SessionOpened,
    Stopped,
    StreamBack,
    StreamLost,
    TakeLate,
)
from foundry.contracts.task import PromptEnded, PromptGranted, SessionReady, title_of
from foundry.contracts.task_session import (
    CloseSession,
    CreateSession,
    EntryKind,
    MarkRead,
    MessageState,
    OpenAgent,
    ResendMessage,
    RestSession,
    ResumeSession,
    SandboxLost,
    SaveDraft,
    SendMessage,
    SessionStatus,
    SessionView,
    StopSession,
    WithdrawMessage,
)
from foundry.runtime.actor import creates, due, handles, receives
from foundry.runtime.turn import Turn

ABLE = (SessionStatus.READY, SessionStatus.IDLE)


class TaskSession(Permissions, Troubles):
    """Owns the queue of messages, the transcript and the stream's cursor, permission requests, drafts and read marks.

    Never talks to an agent: its workflows do, through the agents' door, and what comes back is read from the stream.
    Never decides which session may run: it asks its task for the work tree and waits for the grant (R6).
    """

    topic = "session"
    keeps_events = True  # they are the transcript

    # its life

    @creates(CreateSession)
    def create(self, turn: Turn, message: CreateSession) -> None:
        """1. Pending, until the task says that the sandbox is there. 2. A first prompt waits in the queue."""
        if not turn.born:
            return
        now = millis(turn.now)
        state = State(
            session=turn.key,
            task=message.task,
            repository=message.repository.model_dump_json(),
            repository_id=message.repository.id,
            sandbox=message.sandbox,
            agent=message.agent,
            title=title_of(message.prompt or ""),
            status=SessionStatus.PENDING.value,
            status_since=now,
            trouble=None,
            told="",
            created_at=now,
        )
        turn.insert(sessions, **state.values())
        c = self._conversation(turn)
        c.changed()
        if message.prompt:
            c.queue(message.message or MessageId(turn.new_id("msg")), message.prompt, message.person)
        c.done()

    @receives(OpenAgent)
    def open_agent(self, turn: Turn, message: OpenAgent) -> None:
        """Once: while it is being opened or is open, this changes nothing. After an error it is the retry."""
        c = self._conversation(turn)
        if message.anew and c.state.opening:
            give_up_opening(c)
        if (c.state.resting or message.wake) and not c.state.opening:
            wake_agent(c)
        elif c.status is SessionStatus.PENDING and not c.state.opening:
            open_agent(c)
        elif c.status is SessionStatus.ERROR and not c.state.opening:
            reconnect(c, "A person asked to retry.")
        elif c.status in ABLE:
            c.tell(SessionReady(session=SessionId(turn.key)))
        c.done()

    @handles(ChooseServer)
    def choose_server(self, turn: Turn, command: ChooseServer) -> str:
        """Chosen before the agent is started under it, and kept until it is given up."""
        c = self._conversation(turn)
        if command.fresh or not c.state.server:
            c.state.server = turn.new_id("acp")
        c.done()
        return c.state.server

    @handles(SessionOpened)
    def opened(self, turn: Turn, command: SessionOpened) -> None:
        """1. Only the one that was chosen. 2. Follow its stream. 3. Ready: what is queued asks for the work tree."""
        c, opened = self._conversation(turn), command.opened
        if c.status is SessionStatus.CLOSED or opened.server_id != c.state.server:
            turn.start("close_server", CloseServer(sandbox=SandboxId(c.state.sandbox), server_id=opened.server_id))
            return
        state = c.state
        state.agent_session = opened.model_dump_json()
        state.connected, state.cursor, state.opening, state.unread = True, 0, None, None
        state.replay_ends, state.mode = opened.replay_ends, opened.mode
        if state.prompted:
            self._say_how(c, command.how)
        c.well_but_for_doubts()
        c.move(SessionStatus.IDLE if state.prompted else SessionStatus.READY)
        turn.send(
            addresses.status_sync(SessionId(turn.key)),
            Follow(
                parent=turn.address,
                scope=turn.scope,
                session=SessionId(turn.key),
                sandbox=SandboxId(state.sandbox),
                server_id=opened.server_id,
            ),
        )
        c.tell(SessionReady(session=SessionId(turn.key)))
        c.ask_for_the_work_tree()
        c.done()

    def _say_how(self, c: Conversation, how: Literal["new", "load", "resume"]) -> None:
        c.state.needs_context = how == "new"
        if how == "new":
            give_up(c.turn, c.transcript)
        if how == "new":
            text = "The agent runs again, in a new session; it gets the recent transcript with the next message."
        else:
            text = "The agent runs again and has kept its session."
        c.transcript.add(EntryKind.NOTE, text)

    @handles(FillGaps)
    def fill_gaps(self, turn: Turn, command: FillGaps) -> None:
        """What the agent's own history has, before the session goes on."""
        c = self._conversation(turn)
        fill(turn, c.transcript, command)
        c.done_quietly()

    @handles(ResumeSession)
    def resume(self, turn: Turn, command: ResumeSession) -> SessionView:
        """After an error, or of what lasts too long; asked again while it runs, it goes on running."""
        c = self._conversation(turn)
        self._refuse_closed(c)
        late = c.overdue()
        if late is not None and Action.RESTART_AGENT in late.actions:
            give_up_opening(c)
            c.move(SessionStatus.ERROR)
        elif c.status is not SessionStatus.ERROR:
            raise WrongState(f"the session is {c.status.value}; only one in error is resumed")
        if not c.state.opening:
            reconnect(c, f"{command.person.login} asked to resume.")
        return c.done()

    @handles(RestSession)
    def rest(self, turn: Turn, command: RestSession) -> None:
        """The agent goes with the sandbox, which is about to be stopped; its conversation is kept where it keeps it."""
        c = self._conversation(turn)
        if c.status is SessionStatus.CLOSED or c.state.resting:
            return
        stop_opening(c)
        c.cut_off()
        c.disconnect()
        c.state.resting = True
        c.well()
        if c.status is SessionStatus.ERROR:
            c.move(c.rest)
        c.transcript.add(EntryKind.NOTE, "Nobody used the sandbox, so it was stopped; the work is saved.")
        c.done()

    @receives(SandboxLost)
    def sandbox_lost(self, turn: Turn, message: SandboxLost) -> None:
        """The agent went with its sandbox. Pending until the new one is there."""
        c = self._conversation(turn)
        if c.status is SessionStatus.CLOSED:
            return
        if c.state.prompted:
            c.transcript.add(
                EntryKind.NOTE, "The sandbox was lost. A new one is made, with what was saved of the work."
            )
        stop_opening(c)
        c.cut_off()
        c.disconnect()
        c.state.agent_session, c.state.unread, c.state.resting = None, None, False
        c.state.needs_context = c.state.prompted
        c.state.sandbox = message.sandbox or c.state.sandbox
        c.well()
        c.move(SessionStatus.PENDING)
        c.done()

    @receives(CloseSession)
    def close(self, turn: Turn, message: CloseSession) -> None:
        """1. What runs or waits is cancelled. 2. The agent ends in the background. 3. The transcript stays."""
        c = self._conversation(turn)
        if c.status is SessionStatus.CLOSED:
            return
        stop_opening(c)
        c.cancel_sending()
        c.end_prompt(MessageState.CANCELLED, "closed", status=None)
        for row in turn.all(session_messages, state=MessageState.QUEUED.value):
            c.move_message(row, MessageState.CANCELLED, outcome="closed")
        c.drop_permissions()
        c.transcript.end_text()
        c.give_up_server()
        c.state.resting = False
        c.well()
        c.move(SessionStatus.CLOSED)
        c.done()

    # messages

    @handles(SendMessage)
    def send_message(self, turn: Turn, command: SendMessage) -> SessionView:
        """1. Queue it. 2. Ask the task for the work tree. 3. Its author's draft has been sent."""
        c = self._conversation(turn)
        self._refuse_closed(c)
        if c.message(command.id) is None:
            c.queue(command.id, command.text, command.person)
            if not c.state.title:
                c.state.title = title_of(command.text)
            keep(c, command.person.id, draft="")
        return c.done()

    @receives(PromptGranted)
    def granted(self, turn: Turn, message: PromptGranted) -> None:
        """1. Mark it sending, with its JSON-RPC id. 2. Show it in the transcript. 3. Start to send it."""
        c = self._conversation(turn)
        row, session = c.message(message.message), c.agent_session()
        if row is None or row.state != MessageState.QUEUED or c.status not in ABLE or session is None:
            outcome = row.state if row is not None and row.state != MessageState.QUEUED else "not_sent"
            c.tell(PromptEnded(session=SessionId(turn.key), message=message.message, outcome=outcome))
            if row is not None and row.state == MessageState.QUEUED:  # it keeps its place
                c.wait_for_the_work_tree(row.message, utc(row.at))
            c.done()
            return
        person = Person.model_validate_json(row.person)
        data = {"message": row.message, "login": person.login, "name": person.name, "avatar_url": person.avatar_url}
        entry = row.entry or c.transcript.add(EntryKind.USER, row.text, data)
        rpc_id = turn.new_id("rpc")
        workflow = send_prompt(c, session, row, rpc_id, entry)
        c.move_message(
            row, MessageState.SENDING, rpc=rpc_id, entry=entry, workflow=workflow, outcome="", doubtful=False
        )
        c.state.running, c.state.lost, c.state.stopping = row.message, None, False
        c.state.prompted = True
        c.state.heard_at = millis(turn.now)
        turn.schedule("quiet", self._watchdog.limit("agent quiet"))
        c.well()
        c.move(SessionStatus.RUNNING)
        c.done()

    @handles(PromptSent)
    def prompt_sent(self, turn: Turn, command: PromptSent) -> None:
        """The server has it. A stop that was asked for meanwhile may have come too early: once more."""
        c = self._conversation(turn)
        if c.state.running == command.message:
            c.arrived()
            if c.state.stopping:
                tell_to_stop(c, [])
        c.done()

    @handles(PromptUnknown)
    def prompt_unknown(self, turn: Turn, command: PromptUnknown) -> None:
        """Never sent again by itself. The stream gets some time to show that it has arrived."""
        c = self._conversation(turn)
        row = c.message(command.message)
        if c.state.running == command.message and row and row.state == MessageState.SENDING:
            turn.update(session_messages, {"message": command.message}, doubtful=True)
            turn.schedule("evidence", self._watchdog.limit("prompt unknown"))
        c.done()

    @due("evidence")
    def no_evidence(self, turn: Turn) -> None:
        c = self._conversation(turn)
        row = c.message(c.state.running) if c.state.running else None
        if row and row.doubtful and row.state == MessageState.SENDING:
            c.end_prompt(MessageState.UNKNOWN, "unknown")
            c.in_doubt()
        c.done()

    @handles(ResendMessage)
    def resend(self, turn: Turn, command: ResendMessage) -> SessionView:
        """Only what failed or may have been sent; it becomes a new entry of the transcript when it is sent."""
        c = self._conversation(turn)
        self._refuse_closed(c)
        row = self._message(c, command.message)
        if row.state != MessageState.QUEUED:  # asked twice
            if row.state not in (MessageState.UNKNOWN, MessageState.FAILED):
                raise WrongState(f"message {row.message} is {row.state}; there is nothing to resend")
            if c.state.lost == row.message:
                c.state.lost = None
            c.move_message(row, MessageState.QUEUED, outcome="", rpc=None, entry=None, at=millis(turn.now))
            c.nothing_to_resend()
            c.wait_for_the_work_tree(row.message, turn.now)
        return c.done()

    @handles(WithdrawMessage)
    def withdraw(self, turn: Turn, command: WithdrawMessage) -> SessionView:
        """What is not with the agent is taken back; the task hears of it if it grants it the work tree."""
        c = self._conversation(turn)
        row = self._message(c, command.message)
        if row.state in (MessageState.SENDING, MessageState.RUNNING, MessageState.DONE):
            raise WrongState(f"message {row.message} is {row.state}", remedy="Stop the session instead.")
        if row.state != MessageState.CANCELLED:
            c.move_message(row, MessageState.CANCELLED, outcome="withdrawn")
            c.nothing_to_resend()
        return c.done()

    @handles(StopSession)
    def stop(self, turn: Turn, command: StopSession) -> SessionView:
        """1. Tell the agent. 2. It waits for no answer any more. 3. The stream says when it has stopped."""
        c = self._conversation(turn)
        if c.status is not SessionStatus.RUNNING:
            raise WrongState(f"the session is {c.status.value}; nothing runs that could be stopped")
        if not c.state.stopping:
            c.state.stopping = True
            c.changed()
            tell_to_stop(c, c.drop_permissions())
            turn.schedule("stop", self._watchdog.limit("stopping"))
        return c.done()

    @handles(Stopped)
    def stop_delivered(self, turn: Turn, command: Stopped) -> None:
        """The agent knows; the limit counts from here."""
        if self._conversation(turn).state.running == command.message:
            turn.schedule("stop", self._watchdog.limit("stopping"))

    @due("stop")
    def stop_overdue(self, turn: Turn) -> None:
        """An agent that does not stop is ended, and started anew."""
        c = self._conversation(turn)
        if c.state.stopping and c.state.running and c.status is SessionStatus.RUNNING:
            c.end_prompt(MessageState.CANCELLED, "cancelled", status=SessionStatus.ERROR)
            c.state.resumed = True
            c.resume("The agent did not stop when asked.")
        c.done()

    @due("quiet")
    def quiet(self, turn: Turn) -> None:
        """1. Nothing was heard for long: set the next alarm. 2. Look whether the agent is at work."""
        c, limit = self._conversation(turn), self._watchdog.limit("agent quiet")
        if c.state.running and c.status is SessionStatus.RUNNING:
            silence = turn.now - utc(c.state.heard_at)
            turn.schedule("quiet", limit if silence >= limit else limit - silence)
            if silence >= limit:
                look_at_agent(c)

    @handles(AgentSeen)
    def agent_seen(self, turn: Turn, command: AgentSeen) -> None:
        """A turn that ended without saying so ends here; the agent is told to stop, in case it has not."""
        c = self._conversation(turn)
        if c.state.running == command.message and not c.state.stopping:
            silence = turn.now - utc(c.state.heard_at)
            match c.verdict(command.signs, silence >= self._watchdog.limit("agent quiet")):
                case Verdict.GONE:
                    c.agent_gone("The agent's process is gone.")
                case Verdict.ENDED:
                    tell_to_stop(c, [])
                    c.end_prompt(MessageState.DONE, "quiet")
                case Verdict.WORKS:
                    pass
        look_back(c)
        c.done()

    # the stream

    @handles(Ingest)
    def ingest(self, turn: Turn, command: Ingest) -> int:
        """1. Only the session's own server. 2. Read what is new. 3. Store the cursor with it."""
        c = self._conversation(turn)
        if not c.state.connected or command.server_id != c.state.server:
            return -1
        if command.items:
            self._reachable(c)
            c.state.heard_at = millis(turn.now)
            Reading(c).take(command.items)
            look_back(c)
            c.done_quietly()
        return c.state.cursor if c.state.connected else -1

    @handles(TakeLate)
    def take_late(self, turn: Turn, command: TakeLate) -> int:
        """What was said before the agent was cut off belongs to the transcript, too."""
        c = self._conversation(turn)
        if c.state.connected or c.state.unread != command.server_id:
            return -1
        Reading(c).take_late(command.items)
        c.done_quietly()
        return c.state.cursor

    @handles(StreamLost)
    def stream_lost(self, turn: Turn, command: StreamLost) -> None:
        """Gone for good: start the agent again. Unreachable: say so, keep what runs, and give it some time."""
        c = self._conversation(turn)
        if not c.state.connected or command.server_id != c.state.server:
            return
        if command.gone:
            c.agent_gone(command.message)
        elif not c.state.unreachable:
            c.state.unreachable = True
            c.move(SessionStatus.ERROR)
            remedy = "Foundry goes on trying. If the sandbox stays away, resume the session."
            c.trouble(SandboxUnreachable.code, command.message, remedy, "resume")
            turn.schedule("unreachable", self._watchdog.limit("sandbox unreachable"))
        c.done()

    @handles(StreamBack)
    def stream_back(self, turn: Turn, command: StreamBack) -> None:
        c = self._conversation(turn)
        if c.state.connected and command.server_id == c.state.server:
            self._reachable(c)
        c.done()

    @due("unreachable")
    def unreachable_for_long(self, turn: Turn) -> None:
        c = self._conversation(turn)
        if c.state.unreachable and not c.state.resumed:
            c.agent_gone("The sandbox could not be reached.")
        c.done()

    def _reachable(self, c: Conversation) -> None:
        if c.state.unreachable:
            c.state.unreachable = False
            c.turn.unschedule("unreachable")
            c.well()
            c.move(SessionStatus.RUNNING if c.state.running else c.rest)
            c.ask_for_the_work_tree()

    @due("watchdog")
    def look(self, turn: Turn) -> None:
        self._conversation(turn).done()

    # people (R7)

    @handles(SaveDraft)
    def save_draft(self, turn: Turn, command: SaveDraft) -> None:
        keep(self._conversation(turn), command.person, draft=command.text)

    @handles(MarkRead)
    def mark_read(self, turn: Turn, command: MarkRead) -> None:
        position = max(0, min(command.position, turn.version))
        keep(self._conversation(turn), command.person, read_position=position)
