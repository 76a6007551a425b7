"""Sessions: messages, stop, resume, permissions, and each person's drafts and unread marks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from foundry.actors.task_session.views import personal_view, session_snapshot
from foundry.api import access
from foundry.api.auth import Signed
from foundry.api.bodies import Body
from foundry.api.context import foundry_of
from foundry.api.keys import IdempotencyKey, id_from_key
from foundry.api.sees import present
from foundry.contracts import addresses
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import MessageId, PermissionId, SessionId, UserId, is_id
from foundry.contracts.messages import Model
from foundry.contracts.task import Prompt
from foundry.contracts.task_session import (
    AnswerPermission,
    Draft,
    Entry,
    MarkRead,
    PersonalView,
    QueuedMessage,
    ResendMessage,
    ResumeSession,
    SaveDraft,
    SendMessage,
    SessionView,
    StopSession,
    WithdrawMessage,
)
from foundry.runtime.reader import Reader

router = APIRouter(prefix="/api/sessions/{session}", tags=["sessions"])


class SessionSnapshot(Model):
    """A session, its whole transcript, this person's draft and unread mark, and the version of all three."""

    version: int
    session: SessionView
    transcript: list[Entry]
    mine: PersonalView


class NewMessage(Body):
    text: Prompt


class Answer(Body):
    option: Annotated[str, Field(min_length=1, max_length=200)]


class NewDraft(Body):
    text: Draft


class Read(Body):
    position: Annotated[int, Field(ge=0, le=2**53)]


@router.get("")
async def shown(request: Request, who: Signed, session: str) -> SessionSnapshot:
    """Get the session and its whole transcript."""
    found = await access.session_of(request, who, session)
    return await foundry_of(request).runtime.read(snapshot, found.id, who.person.id)


def snapshot(reader: Reader, session: SessionId, person: UserId) -> SessionSnapshot:
    version, view, entries = session_snapshot(reader, session)
    mine = personal_view(reader, session, person)
    here = view.model_copy(update={"repository": present(reader, view.repository)})
    return SessionSnapshot(version=version, session=here, transcript=entries, mine=mine)


@router.get("/messages")
async def messages(request: Request, who: Signed, session: str) -> list[QueuedMessage]:
    """List the messages that are not in the transcript: queued, being sent, failed, or possibly sent."""
    return (await access.session_of(request, who, session)).messages


@router.post("/messages", status_code=201)
async def send(
    request: Request, response: Response, who: Signed, session: str, wish: NewMessage, key: IdempotencyKey = None
) -> SessionView:
    """Send a message to the agent. It is queued while an agent works on the task."""
    found = await access.session_of(request, who, session, change=True)
    message = MessageId(id_from_key("msg", f"{who.caller}/{session}", key))
    command = SendMessage(id=message, text=wish.text, person=who.person)
    view = await foundry_of(request).runtime.ask(addresses.session(found.id), command, key=key, caller=who.caller)
    response.headers["Location"] = f"/api/sessions/{session}/messages"
    return view


@router.post("/messages/{message}/resend")
async def resend(request: Request, who: Signed, session: str, message: str, key: IdempotencyKey = None) -> SessionView:
    """Queue a message again after it failed or may have been sent."""
    found = await access.session_of(request, who, session, change=True)
    command = ResendMessage(message=_message(message), person=who.person)
    return await foundry_of(request).runtime.ask(addresses.session(found.id), command, key=key, caller=who.caller)


@router.delete("/messages/{message}")
async def withdraw(request: Request, who: Signed, session: str, message: str) -> SessionView:
    """Withdraw a message that the agent does not have."""
    found = await access.session_of(request, who, session, change=True)
    command = WithdrawMessage(message=_message(message), person=who.person)
    return await foundry_of(request).runtime.ask(addresses.session(found.id), command)


def _message(message: str) -> MessageId:
    if not is_id(message, "msg"):
        raise NotFound(f"no message with id {message}", field="message")
    return MessageId(message)


@router.post("/stop")
async def stop(request: Request, who: Signed, session: str, key: IdempotencyKey = None) -> SessionView:
    """Stop the running prompt."""
    found = await access.session_of(request, who, session, change=True)
    command = StopSession(person=who.person)
    return await foundry_of(request).runtime.ask(addresses.session(found.id), command, key=key, caller=who.caller)


@router.post("/resume")
async def resume(request: Request, who: Signed, session: str, key: IdempotencyKey = None) -> SessionView:
    """Start the agent again after a failure and connect to it."""
    found = await access.session_of(request, who, session, change=True)
    command = ResumeSession(person=who.person)
    return await foundry_of(request).runtime.ask(addresses.session(found.id), command, key=key, caller=who.caller)


@router.post("/permissions/{permission}")
async def answer(
    request: Request, who: Signed, session: str, permission: str, wish: Answer, key: IdempotencyKey = None
) -> SessionView:
    """Answer the agent's permission request with one of its options."""
    found = await access.session_of(request, who, session, change=True)
    if not is_id(permission, "prm"):
        raise NotFound(f"no permission request with id {permission}", field="permission")
    command = AnswerPermission(permission=PermissionId(permission), option=wish.option, person=who.person)
    return await foundry_of(request).runtime.ask(addresses.session(found.id), command, key=key, caller=who.caller)


@router.get("/draft")
async def mine(request: Request, who: Signed, session: str) -> PersonalView:
    """Get this person's draft and unread mark (R7)."""
    found = await access.session_of(request, who, session)
    return await foundry_of(request).runtime.read(personal_view, found.id, who.person.id)


@router.put("/draft", status_code=204)
async def draft(request: Request, who: Signed, session: str, wish: NewDraft) -> None:
    """Save this person's draft (R7)."""
    found = await access.session_of(request, who, session)
    command = SaveDraft(person=who.person.id, text=wish.text)
    await foundry_of(request).runtime.ask(addresses.session(found.id), command)


@router.put("/read", status_code=204)
async def read(request: Request, who: Signed, session: str, wish: Read) -> None:
    """Mark the transcript as read up to this position, for this person (R7)."""
    found = await access.session_of(request, who, session)
    command = MarkRead(person=who.person.id, position=wish.position)
    await foundry_of(request).runtime.ask(addresses.session(found.id), command)


@router.delete("/read", status_code=204)
async def unread(request: Request, who: Signed, session: str) -> None:
    """Mark the whole transcript as unread, for this person."""
    found = await access.session_of(request, who, session)
    await foundry_of(request).runtime.ask(addresses.session(found.id), MarkRead(person=who.person.id, position=0))
