"""The long work of a session."""

from foundry.actors.task_session.workflows.answer_permission import answer_permission
from foundry.actors.task_session.workflows.close_server import close_server
from foundry.actors.task_session.workflows.look_at_agent import look_at_agent
from foundry.actors.task_session.workflows.open_session import open_session
from foundry.actors.task_session.workflows.prompt import prompt
from foundry.actors.task_session.workflows.resume_session import resume_session
from foundry.actors.task_session.workflows.stop import stop

WORKFLOWS = (open_session, resume_session, close_server, prompt, stop, answer_permission, look_at_agent)
