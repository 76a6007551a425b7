"""Deliberate faults in Foundry's own code, one at a time: each has to be caught by a test.

    python -m tests.harness.mutations [NAME …]        (make mutations)

A fault is a replacement in a copy of `src/`; the tests run on that copy.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    name: str
    file: str  # below src/foundry
    old: str  # stands there once
    new: str
    tests: tuple[str, ...]  # at least one of these must fail


MUTATIONS = (
    Mutation(
        "two replicas take turns of one actor at once: its row is not locked",
        "runtime/store/postgres.py",
        "WHERE actor = %s FOR NO KEY UPDATE)",
        "WHERE actor = %s)",
        ("tests/runtime/test_properties.py", "tests/runtime/test_turn.py"),
    ),
    Mutation(
        "a repeated ask is applied again: its key is not looked at",
        "runtime/transactions.py",
        "    if opened.ask is not None:\n        return None, After(address), opened.ask",
        "    if opened.ask is not None:\n        tx.execute('DELETE FROM asks')",
        ("tests/runtime/test_turn.py", "tests/runtime/test_properties.py"),
    ),
    Mutation(
        "a message is applied without being claimed",
        "runtime/transactions.py",
        "        if not tx.claim(str(self.address), mail):\n            return",
        "        tx.claim(str(self.address), mail)",
        ("tests/runtime/test_mailbox.py", "tests/runtime/test_properties.py"),
    ),
    Mutation(
        "a sender's later message overtakes one that failed",
        "runtime/transactions.py",
        "                waiting.add(mail.sender)",
        "                pass",
        ("tests/runtime/test_mailbox.py", "tests/runtime/test_properties.py"),
    ),
    Mutation(
        "who lost a lease goes on writing: its number is not checked",
        "runtime/transactions.py",
        "            if self.lease:\n                tx.fence(*self.lease)",
        "",
        ("tests/runtime/test_worker.py",),
    ),
    Mutation(
        "a schedule fires before its time: the database's clock is not asked",
        "runtime/schedule.py",
        'SELECT tries FROM schedules WHERE actor=? AND name=? AND generation=? AND due_at<=?"',
        'SELECT tries FROM schedules WHERE actor=? AND name=? AND generation=? AND ?>0"',
        ("tests/runtime/test_schedule.py",),
    ),
    Mutation(
        "a turn that fails leaves what it wrote",
        "runtime/store/sqlite.py",
        'run("ROLLBACK TO turn")',
        "pass",
        ("tests/runtime/test_turn.py", "tests/runtime/test_properties.py"),
    ),
    Mutation(
        "an answer is given before the commit",
        "runtime/store/sqlite.py",
        '            tx.raw.execute("COMMIT")\n',
        '            self._settled(batch, None)\n            tx.raw.execute("COMMIT")\n',
        ("tests/runtime/test_turn.py", "tests/runtime/test_properties.py"),
    ),
    Mutation(
        "an old replica goes on with a workflow that another has taken over: its generation is not checked",
        "runtime/workflow/engine.py",
        "Standing.LIVE if found[0].generation == row.generation else Standing.OLD",
        "Standing.LIVE",
        ("tests/runtime/test_workflow.py",),
    ),
    Mutation(
        "a step's turn runs again after a crash: its key is not kept",
        "runtime/workflow/flow.py",
        'key = f"{self.id}/{step}/{self._asked[asked]}"',
        "key = None",
        ("tests/runtime/test_workflow.py", "tests/system/test_every_step.py"),
    ),
    Mutation(
        "a crash loop takes its neighbours with it: suspects go on together",
        "runtime/workflow/recovery.py",
        "default=0) < SUSPECT:",
        "default=0) < 1000:",
        ("tests/runtime/test_workflow.py",),
    ),
    Mutation(
        "a turn whose answer was lost is taken again behind a step that is new: its key counts steps",
        "runtime/workflow/flow.py",
        'key = f"{self.id}/{step}/{self._asked[asked]}"',
        'key = f"{self.id}/{self._number}"',
        ("tests/runtime/test_upgrade.py",),
    ),
    Mutation(
        "who is past a new step takes it all the same",
        "runtime/workflow/flow.py",
        "        return await DBOS.patch_async(change)",
        "        await DBOS.patch_async(change)\n        return True",
        ("tests/runtime/test_upgrade.py",),
    ),
    Mutation(
        "after a start nothing goes on for a minute",
        "runtime/workflow/engine.py",
        "        await self.recovery.compare()\n        self._background",
        "        self._background",
        ("tests/system/test_fifty.py",),
    ),
    Mutation(
        "what a dead replica did is left lying",
        "runtime/workflow/recovery.py",
        'status.status == "PENDING" and status.executor_id not in living',
        'status.status == "PENDING" and self._one_process',
        ("tests/system/test_replicas.py",),
    ),
    Mutation(
        "a replica that stops keeps its leases",
        "runtime/worker/supervisor.py",
        "await asyncio.shield(self._lease(name, lambda tx: release(tx, name, fencing)))",
        "pass",
        ("tests/runtime/test_worker.py", "tests/system/test_replicas.py"),
    ),
    Mutation(
        "a watcher is told of an event twice",
        "runtime/topic.py",
        "            if event.version > self.version:\n                self._queued(event)\n        return",
        "            self._queued(event)\n        return",
        ("tests/runtime/test_topic.py", "tests/runtime/test_properties.py"),
    ),
    Mutation(
        "a prompt is sent again when its process died while sending",
        "actors/task_session/workflows/prompt.py",
        "    if not first:\n        return False",
        "",
        ("tests/actors/test_task_session_workflows.py",),
    ),
    Mutation(
        "a retained sandbox is removed when its time is over",
        "actors/task/sandbox.py",
        "    if command.retained or not command.waits:\n        retain(turn, command.retained)",
        "    if command.retained:\n        turn.update(releases, retained=command.retained)\n"
        "    elif not command.waits:\n        retain(turn, '')",
        ("tests/actors/test_release.py",),
    ),
    Mutation(
        "a sandbox that nobody uses is removed though nobody asked for that",
        "actors/app_shell/actor.py",
        "for row in turn.all(app_orphans, removing=True)]",
        "for row in turn.all(app_orphans)]",
        ("tests/actors/test_disk_usage.py",),
    ),
    Mutation(
        "a prompt gets the work tree while it is brought forward to GitHub's",
        "contracts/task_refusals.py",
        "or (holds is Holds.LATE and kind in self.holding)",
        "",
        ("tests/actors/test_task.py", "tests/actors/test_branches.py"),
    ),
    Mutation(
        "the poller is believed though the task has learnt more since",
        "contracts/remote_branch.py",
        " if told.before == known.head else None",
        "",
        ("tests/actors/test_branches.py",),
    ),
    Mutation(
        "an operation that is being cancelled holds the work tree no longer",
        "contracts/task_refusals.py",
        "        for kind, _ in self.under_way:\n            holds",
        "        for kind, cancelling in self.under_way:\n"
        "            if cancelling:\n                continue\n            holds",
        ("tests/actors/test_task.py",),
    ),
    Mutation(
        "publishing may start while a checkpoint is restored",
        "contracts/task_operations.py",
        "excludes=frozenset({Kind.PUBLISH, Kind.FETCH, Kind.RENAME}),",
        "excludes=frozenset({Kind.FETCH, Kind.RENAME}),",
        ("tests/actors/test_task.py", "tests/test_docs.py"),
    ),
    Mutation(
        "a prompt that waits is not granted at the end of what it waited for",
        "actors/task/actor.py",
        "        work_tree.grant(turn)\n",
        "",
        ("tests/actors/test_task.py",),
    ),
    Mutation(
        "a wish to save a checkpoint is forgotten while something is in its way",
        "actors/task/actor.py",
        "        checkpoints.begin_wanted(turn)\n",
        "",
        ("tests/actors/test_task.py",),
    ),
    Mutation(
        "a cancelled workflow ends while its step still runs",
        "runtime/workflow/engine.py",
        "        if self._runs_here(row):\n            return  # called again at its end\n",
        "",
        ("tests/runtime/test_workflow.py",),
    ),
    Mutation(
        "an end that its owner fails to take is lost",
        "runtime/workflow/ended.py",
        "            self._mailed(tx)\n",
        "            pass\n",
        ("tests/runtime/test_workflow.py",),
    ),
    Mutation(
        "a repository's new name is stored and not published",
        "actors/repository/actor.py",
        '        turn.publish(RepositoryChanged(entity="repository", repository=turn.key, ref=repository))\n',
        "",
        ("tests/actors/test_repository.py",),
    ),
    Mutation(
        "a view is published again though it is the same",
        "runtime/turn.py",
        "        if mark == (getattr(self.effects, name) or getattr(self._opened, name)):\n            return False\n",
        "",
        ("tests/actors/test_task.py",),
    ),
    Mutation(
        "what ran in a lost sandbox is not ended",
        "actors/task/provisioning.py",
        "cut = operations.end_with_sandbox(turn)",
        "cut: list[Kind] = []",
        ("tests/actors/test_task.py",),
    ),
    Mutation(
        "a second request publishes a second time",
        "actors/task/publishing.py",
        "    if operations.running(turn, Kind.PUBLISH) is not None:\n        return\n",
        "",
        ("tests/actors/test_task.py",),
    ),
    Mutation(
        "a message is given to an agent that is still being told to stop the last one",
        "actors/task_session/messages.py",
        'None if turn.running("stop") else send_prompt(c, session, row, rpc_id, entry)',
        "send_prompt(c, session, row, rpc_id, entry)",
        ("tests/actors/test_task_session.py",),
    ),
    Mutation(
        "two tries of an opening share a server, so one loads the history into the other's stream",
        "actors/task_session/door.py",
        "server_id + token_hex(4) if server_id.endswith(EACH_TRY) else server_id",
        "server_id",
        ("tests/actors/test_task_session_real.py",),
    ),
)
