"""The same request with the same Idempotency-Key is done once, and answered the same."""

from __future__ import annotations

import asyncio

from foundry.api.keys import id_from_key
from foundry.contracts.ids import is_id
from tests.api.edge import ADA, GRACE, ORG, TALLY, Edge
from tests.api.problems import problem

TASKS = f"/api/organizations/{ORG}/tasks"
WISH = {"repository": "4001", "prompt": "Add a median"}


def test_an_id_is_derived_from_caller_and_key():
    made = id_from_key("tsk", "user:1", "k")
    assert is_id(made, "tsk")
    assert made == id_from_key("tsk", "user:1", "k")
    others = [id_from_key("tsk", "user:2", "k"), id_from_key("tsk", "user:1", "l"), id_from_key("tsk", "user:1", None)]
    assert len({made, *others}) == 4


async def test_a_repeated_create_makes_one_task(edge: Edge):
    async with edge.admin() as ada:
        answers = await asyncio.gather(
            *(ada.post(TASKS, json=WISH, headers={"Idempotency-Key": "once"}) for _ in range(8))
        )
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert {answer.headers["location"] for answer in answers} == {f"/api/tasks/{answers[0].json()['id']}"}
        assert await edge.tasks() == 1


async def test_a_key_with_another_body_is_refused(edge: Edge):
    key = {"Idempotency-Key": "once"}
    async with edge.admin() as ada:
        await ada.post(TASKS, json=WISH, headers=key)
        answer = await ada.post(TASKS, json=WISH | {"prompt": "Something else"}, headers=key)
    problem(answer, 422, "idempotency_key_reused", "Idempotency-Key")
    assert await edge.tasks() == 1


async def test_two_people_may_use_the_same_key(edge: Edge):
    edge.github.rights[(GRACE.id, TALLY.id)] = edge.github.rights[(ADA.id, TALLY.id)]
    key = {"Idempotency-Key": "once"}
    async with edge.admin("ada") as ada, edge.admin("grace") as grace:
        made = [await one.post(TASKS, json=WISH, headers=key) for one in (ada, grace)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json()["id"] != made[1].json()["id"]


async def test_a_key_has_a_form(edge: Edge):
    async with edge.admin() as ada:
        for key in ("", "k" * 201, "two words"):
            answer = await ada.post(TASKS, json=WISH, headers={"Idempotency-Key": key})
            problem(answer, 422, "bad_input", "Idempotency-Key")


async def test_a_repeated_message_is_queued_once(edge: Edge):
    async with edge.admin() as ada:
        session = f"/api/sessions/{(await edge.task(ada))['active_session']}"
        await edge.until(ada, session, lambda found: True)
        for _ in range(3):
            answer = await ada.post(f"{session}/messages", json={"text": "Also"}, headers={"Idempotency-Key": "m"})
            assert answer.status_code == 201
        found = (await ada.get(session)).json()
        texts = [message["text"] for message in found["session"]["messages"]]
        texts += [entry["text"] for entry in found["transcript"] if entry["kind"] == "user"]
        assert texts.count("Also") == 1


async def test_a_session_that_was_created_is_found_where_the_answer_says(edge: Edge):
    async with edge.admin() as ada:
        task = await edge.task(ada)
        answer = await ada.post(f"/api/tasks/{task['id']}/sessions", json={"agent": "claude"})
        assert answer.status_code == 201
        found = await ada.get(answer.headers["location"])
        assert found.status_code == 200
        assert found.json()["session"]["agent"] == "claude"
        assert len(answer.json()["sessions"]) == 2


async def test_a_task_is_answered_before_anything_is_provisioned(edge: Edge):
    edge.github.hold("branch_names")
    async with edge.admin() as ada:
        task = await edge.task(ada, repository="LUMEN-works/Tally")
        assert (task["state"], task["phase"]) == ("provisioning", "naming")
        assert task["created_by"]["login"] == ADA.login
        assert task["agent"] if "agent" in task else task["sessions"][0]["agent"] == "mock"
        listed = await edge.until(ada, TASKS, bool)
        assert [one["id"] for one in listed] == [task["id"]]
