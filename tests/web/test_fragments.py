"""Rendering is pure: sample models in, HTML out; what an agent or a person says stays text."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from foundry.contracts.issues import IssueKind
from foundry.contracts.sandbox_instance import SandboxState
from foundry.contracts.task import Phase, TaskState
from foundry.contracts.task_branch import Upstream, UpstreamState
from foundry.contracts.task_session import EntryKind, MessageState, SessionStatus
from foundry.web import fragments
from foundry.web.diff import files
from foundry.web.templating import tail
from tests.web import samples as s
from tests.web.preview import pages

VOID = {"meta", "link", "input", "br", "hr", "img", "path"}
HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{ 7*7 }}"


class Outline(HTMLParser):
    """Every element is closed in order, and no id comes twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "script":
            self.scripts.append(found.get("src"))
        assert not [name for name in found if name.startswith("on")], found
        assert "javascript:" not in str(found.get("href", ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def outline(html: str) -> Outline:
    found = Outline()
    found.feed(html)
    found.close()
    assert found.open == []
    assert [id for id, times in Counter(found.ids).items() if times > 1] == []
    assert [id for id in found.ids if re.search(r"\s", id)] == []
    assert None not in found.scripts, "a script of the page's own"
    return found


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_page_is_well_formed_and_every_id_is_there_once(name: str) -> None:
    outline(pages()[name])


@pytest.mark.parametrize("kind", list(EntryKind))
def test_what_is_said_stays_text_in_every_kind_of_entry(kind: EntryKind) -> None:
    item = s.entry(
        1, kind, HOSTILE, True, title=HOSTILE, status=HOSTILE, kind=HOSTILE, login=HOSTILE, events=3,
        content=[{"type": "content", "content": {"type": "text", "text": HOSTILE}},
                 {"type": "diff", "path": HOSTILE, "oldText": HOSTILE, "newText": HOSTILE + "\n"}],
        entries=[{"content": HOSTILE, "status": HOSTILE}], input={"command": HOSTILE}, output=HOSTILE,
        locations=[{"path": HOSTILE}], options=[{"id": HOSTILE, "name": HOSTILE, "kind": HOSTILE}], permission="prm_1",
    )  # fmt: skip
    html = fragments.transcript.entry("ses_1", item)
    outline(html)
    assert "<script" not in html
    assert "<img" not in html


@pytest.mark.parametrize("kind", [EntryKind.AGENT, EntryKind.THOUGHT, EntryKind.TOOL])
def test_what_was_put_into_a_gap_says_so_and_stands_in_its_order(kind: EntryKind) -> None:
    item = s.entry(9, kind, "words", title="Run", status="completed")
    plain = fragments.transcript.entry("ses_1", item)
    assert 'data-order="9"' in plain
    assert "own history" not in plain
    filled = item.model_copy(update={"part": 12, "data": {**item.data, "filled": True}})
    assert 'data-order="9.000012"' in (html := fragments.transcript.entry("ses_1", filled))
    assert "ead from the agent's own history" in html


def test_a_gap_says_whether_it_was_looked_for() -> None:
    def words(**data: object) -> str:
        return " ".join(
            re.sub(
                "<.*?>", "", fragments.transcript.entry("ses_1", s.entry(9, EntryKind.GAP, events=3, **data))
            ).split()
        )

    missing = "3 agent events are missing here"
    assert words() == f"{missing}. The agent's work is not affected."
    gone = f"{missing}; the agent's own history does not have them either."
    assert words(looked=True) == f"{gone} The agent's work is not affected."
    assert words(filled=True) == gone


@pytest.mark.parametrize("kind", list(EntryKind))
def test_an_agent_may_send_anything_as_an_entrys_data(kind: EntryKind) -> None:
    for odd in (None, 7, [], {}, "text", [None, 3], {"x": [1]}):
        data = dict.fromkeys(("content", "entries", "input", "output", "locations", "options", "status", "title"), odd)
        outline(fragments.transcript.entry("ses_1", s.entry(1, kind, "words", True, **data)))


@pytest.mark.parametrize("state", list(TaskState))
@pytest.mark.parametrize("phase", list(Phase))
def test_a_task_can_be_shown_in_every_phase(state: TaskState, phase: Phase) -> None:
    for failure in (None, s.failure()):
        task = s.task(state=state, phase=phase, failure=failure)
        outline(
            fragments.task.head(task)
            + fragments.task.phases(task)
            + fragments.task.tabs(task, "changes")
            + fragments.tasks.row(task)
        )
        if state is TaskState.FAILED and failure:
            shown = fragments.task.phases(task)
            assert failure.message in shown
            assert failure.remedy.replace("'", "&#39;") in shown
            assert "/retry" in shown, "a failure has a way on (R25)"
            assert "/retry" not in fragments.task.phases(task, may_write=False)


@pytest.mark.parametrize("state", list(UpstreamState))
@pytest.mark.parametrize("fetching", [False, True])
def test_how_github_has_the_branch_is_said_with_the_way_on(state: UpstreamState, fetching: bool) -> None:
    said = "" if state is UpstreamState.EVEN else f"It is {state}."
    task = s.task(state=TaskState.READY, upstream=Upstream(head="a" * 40, state=state, said=said), fetching=fetching)
    html = fragments.task.head(task) + fragments.task.work(task)
    outline(html)
    assert said in html
    assert html.count('action="/tasks/') > 0
    offered = len(re.findall(r'<form[^>]* action="/tasks/[^"]+/upstream"', html))
    assert offered == (0 if fetching or state is UpstreamState.DELETED else 1)
    assert ("Fetching from GitHub" in html) == (fetching and state is not UpstreamState.DELETED)
    assert "/upstream" not in fragments.task.head(task, may_write=False) + fragments.task.work(task, may_write=False)


@pytest.mark.parametrize("status", list(SessionStatus))
def test_a_session_in_error_says_why_and_offers_a_way_on(status: SessionStatus) -> None:
    session = s.session(status=status, failure=s.session_failure() if status is SessionStatus.ERROR else None)
    html = fragments.session.state(session)
    outline(html)
    assert ("/resume" in html) == (status is SessionStatus.ERROR)
    assert ("/stop" in html) == (status is SessionStatus.RUNNING)


def test_a_message_whose_outcome_is_unknown_offers_resend_and_says_so() -> None:
    session = s.session(messages=[s.queued(1, MessageState.UNKNOWN, "Then push.")])
    html = fragments.session.state(session)
    assert "May have been sent" in html
    assert "/resend" in html


@pytest.mark.parametrize("kind", list(IssueKind))
def test_every_kind_of_issue_has_words_and_can_be_cleared(kind: IssueKind) -> None:
    html = fragments.issues.issue_list("900", "organization", [s.issue(1, kind=kind)])
    outline(html)
    assert "/issues/clear" in html


def test_streamed_text_is_escaped_and_says_where_it_goes() -> None:
    html = fragments.transcript.delta("ent_1", 5, "<b>é</b>")
    assert html == '<span data-append="text-ent_1" data-offset="5" data-length="8">&lt;b&gt;é&lt;/b&gt;</span>'


def test_two_buttons_never_share_an_id() -> None:
    """Else a live replacement could make Publish of the Archive that somebody is about to press."""
    head = outline(fragments.task.head(s.task()))
    acts = [id for id in head.ids if id.startswith("act-")]
    assert len(acts) == len(set(acts)) == 2


def test_a_diff_is_read_by_file_with_its_counts() -> None:
    table, tests = files(s.DIFF)
    assert (table.path, table.added, table.removed) == ("tides/table.py", 3, 1)
    assert (tests.path, tests.added, tests.removed) == ("tests/test_table.py", 4, 0)


def test_long_paths_show_their_end() -> None:
    assert tail("tally/stats.py") == "tally/stats.py"
    assert tail("/a/long/way/to/repo/tally/stats.py") == "…/repo/tally/stats.py"


def test_the_sandboxs_card_says_what_it_takes_once_that_is_known() -> None:
    assert "120 MB on disk" in fragments.sandbox.card(s.sandbox())
    assert "on disk" not in fragments.sandbox.card(s.sandbox(disk=None))
    assert "0 bytes on disk" in fragments.sandbox.card(s.sandbox(disk=0))


def test_the_sandbox_of_an_archived_task_says_when_it_is_removed_and_offers_not_to_wait() -> None:
    waiting = s.sandbox(state=SandboxState.STOPPED, remove_at=s.NOW)
    shown = fragments.sandbox.card(waiting)
    outline(shown)
    assert "will be removed" in shown
    assert s.NOW.isoformat(timespec="milliseconds") in shown
    assert "starts on the next message" not in shown
    assert f'action="/tasks/{waiting.task}/release"' in shown
    assert "/release" not in fragments.sandbox.card(waiting, may_write=False)
    assert "/release" not in fragments.sandbox.card(s.sandbox(state=SandboxState.STOPPED))
