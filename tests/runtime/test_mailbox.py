"""What a mailbox promises when things go wrong: retried, only the sender's later messages wait, then set aside."""

from __future__ import annotations

import json

from sqlalchemy import select

from foundry.runtime.reader import Reader
from foundry.runtime.store.tables import mailbox
from tests.runtime.toys import Ledger, Relay, all_failures, running, texts
from tests.waiting import eventually


def waiting(reader: Reader) -> list[tuple[str, int, bool]]:
    rows = reader.all(select(mailbox.c.sender, mailbox.c.tries, mailbox.c.set_aside_at).order_by(mailbox.c.id))
    return [(row.sender, row.tries, row.set_aside_at is not None) for row in rows]


async def test_a_failing_message_holds_up_its_sender_alone(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(Ledger.at("a"), Relay(to=["c"], texts=["bad"], fail_there=True))
        await eventually(lambda: runtime.read(waiting), lambda rows: rows and rows[0][1] >= 1)
        await runtime.ask(Ledger.at("a"), Relay(to=["c"], texts=["later"]))
        await runtime.ask(Ledger.at("b"), Relay(to=["c"], texts=["other"]))
        assert await eventually(lambda: runtime.read(texts, "c"), lambda t: len(t) == 1) == [("b", "other")]
        assert [sender for sender, _, _ in await runtime.read(waiting)] == ["Ledger:a", "Ledger:a"]


async def test_after_five_tries_it_is_set_aside_and_the_rest_goes_on(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(Ledger.at("a"), Relay(to=["c"], texts=["bad"], fail_there=True))
        await runtime.ask(Ledger.at("a"), Relay(to=["c"], texts=["later"]))

        def hurry(tx: object) -> None:  # the back-off is 36 s in all; the clock is not ours to turn
            tx.execute("UPDATE mailbox SET next_try_at=1 WHERE next_try_at > 1")  # type: ignore[attr-defined]

        async def look() -> list[tuple[str, str]]:
            await runtime.system(Ledger.at("x"), hurry)
            runtime.dispatcher.poke(Ledger.at("c"))
            return await runtime.read(texts, "c")

        await eventually(look, lambda t: t == [("a", "later")])
        issue = json.loads((await eventually(lambda: runtime.read(all_failures)))[0])
        assert issue["kind"] == "message_set_aside"
        assert issue["step"] == "Noted"
        assert issue["remedy"]
        assert await runtime.read(waiting) == [("Ledger:a", 5, True)]

        assert await runtime.retry_message(issue["mailbox_id"])
        await eventually(lambda: runtime.read(waiting), lambda rows: rows and rows[0][1] >= 1)
        assert not await runtime.retry_message(issue["mailbox_id"]), "it has gone: it was sent anew"


async def test_a_dropped_message_is_forgotten(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(Ledger.at("a"), Relay(to=["c"], texts=["bad"], fail_there=True))

        await eventually(lambda: runtime.read(waiting), lambda rows: rows and rows[0][1] >= 1)

        def aside(tx: object) -> None:
            tx.execute("UPDATE mailbox SET set_aside_at=1")  # type: ignore[attr-defined]

        await runtime.system(Ledger.at("c"), aside)
        (number,) = [row.id for row in await runtime.read(lambda r: r.all(select(mailbox.c.id)))]
        await runtime.drop_message(number)
        assert await runtime.read(waiting) == []
