"""People at their browsers: the whole main job through the pages, on real parts, in Chromium.

What is live is compared with what a fresh page shows: they are the same, whatever came in between.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.harness.stage import remove_sandboxes
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
            "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE = 20_000  # milliseconds
SEEN = """() => {
    // Attributes in one order, spaces as one, without what ticks or what a person has opened.
    const told = (node) => {
        if (node.nodeType === 3) return node.nodeValue.replace(/\\s+/g, " ");
        if (node.nodeType !== 1) return "";
        if (node.nodeName === "TIME") return `<time ${node.dateTime}>`;
        const names = node.getAttributeNames().filter(name => name !== "open").sort();
        const values = names.map(name => `${name}=${node.getAttribute(name).split(" ").filter(
            part => !part.startsWith("htmx-")).join(" ")}`);
        return `<${node.localName} ${values.join(" ")}>` + [...node.childNodes].map(told).join("").trim();
    };
    const live = "#task-head, #task-phases, #task-tabs, #task-work, #task-checkpoints, #task-sandbox, "
        + "#transcript, #session-state, #tasks, #issue-badge, #history";
    return Object.fromEntries([...document.querySelectorAll(live)].map(found => [found.id, told(found)]));
}"""
ADDED = """
say I will look at **how** the sums are made.
plan [>] Look | Change | Test
think They are plain loops.
read tally/stats.py
pace 15
say Here is `what I found`: one two three four five six seven eight nine ten.
append README.md It has been looked at.
test
ask Commit the change?
commit Say that it has been looked at
say Done.
"""


@pytest.fixture(scope="module")
def foundry(tmp_path_factory: pytest.TempPathFactory, sandbox_agent_cache: Path) -> Iterator[dict[str, str]]:
    """A demo that has done its job and stays up; gives its addresses."""
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium; apt-get install chromium")
    home = tmp_path_factory.mktemp("browser")
    (home / "data").mkdir()
    (home / "data" / "sandbox-agent").symlink_to(sandbox_agent_cache / "sandbox-agent")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRY_")}
    command = [sys.executable, "-m", "foundry.cli", "demo", "--data-dir", str(home), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kept)
    said: list[str] = []
    try:
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        text = "".join(said)
        found = dict(re.findall(r"^(Foundry|Stand-in GitHub): +(http\S+)", text, re.MULTILINE))
        assert set(found) == {"Foundry", "Stand-in GitHub"}, text
        yield found
    finally:
        process.terminate()
        process.wait(30)
        remove_sandboxes(home / "data")


def apart(one: str, other: str) -> tuple[str, str]:
    """Both from shortly before where they differ."""
    same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    at = max(0, same - 80)
    return one[at : at + 300], other[at : at + 300]


class Tab:
    """One person's tab, which notes what the browser complains about."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        where = message.location["url"]
        if message.type in ("error", "warning") and where.startswith(self.url):  # the stand-in's pages are not ours
            self.complaints.append(f"{where}: {message.text}")

    async def sign_in(self, name: str) -> None:
        await self.page.goto(self.url)
        await self.page.get_by_role("link", name="Sign in with GitHub").click()
        await self.page.get_by_role("button", name=name).first.click()
        await self.page.wait_for_url(f"{self.url}/organizations/*")

    async def new_task(self, title: str, script: str) -> None:
        await self.page.goto(f"{self.url}/organizations/2001/new?repository=4001")
        await self.page.get_by_label("What should change?").fill(f"{title}\n\n```script\n{script.strip()}\n```")
        await self.page.get_by_role("button", name="Start task").click()
        await self.page.wait_for_url(f"{self.url}/tasks/*")

    def agent(self, text: str) -> Any:
        return self.page.locator("#transcript .entry.agent", has_text=text)

    async def finished(self, times: int = 1) -> None:
        stops = self.page.locator("#transcript .entry.stop", has_text="The agent has finished.")
        await expect(stops).to_have_count(times, timeout=PATIENCE)

    async def send(self, text: str) -> None:
        box = self.page.get_by_label("Message to the agent")
        await box.fill(text)
        await box.press("Control+Enter")
        await expect(box).to_have_value("", timeout=PATIENCE)

    async def seen(self) -> dict[str, str]:
        """The live parts of the page, without what ticks or what a person has opened."""
        return await self.page.evaluate(SEEN)

    async def is_as_fresh(self) -> None:
        """What came live and what a fresh page shows are the same."""

        async def differing() -> dict[str, tuple[str, str]]:
            live = await self.seen()
            fresh = Tab(await self.page.context.new_page(), self.url)
            await fresh.page.goto(self.page.url)
            shown = await fresh.seen()
            await fresh.page.close()
            assert live.keys() == shown.keys()
            return {id: apart(live[id], shown[id]) for id in live if live[id] != shown[id]}

        await eventually(differing, lambda found: not found)


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        try:
            yield browser
        finally:
            await browser.close()


async def tab(browser: Any, url: str, name: str = "", **options: Any) -> Tab:
    context: BrowserContext = await browser.new_context(**options)
    opened = Tab(await context.new_page(), url)
    if name:
        await opened.sign_in(name)
    return opened


async def test_the_main_job_through_the_pages_while_somebody_else_watches(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        grace = await tab(browser, foundry["Foundry"], "Grace")
        await expect(grace.page.locator("#tasks")).not_to_contain_text("Look at the sums")

        await ada.new_task("Look at the sums", ADDED)
        row = grace.page.locator("#tasks .task-row", has_text="Look at the sums")
        await expect(row).to_be_visible(timeout=PATIENCE)
        await row.get_by_role("link", name="Look at the sums").click()
        await ada.agent("what I found").wait_for()
        await grace.agent("what I found").wait_for()

        allow = ada.page.get_by_role("button", name="Allow")
        await allow.wait_for()
        await expect(grace.page.get_by_text("The agent asks:")).to_be_visible()
        await allow.click()
        await ada.finished()
        await grace.finished()
        pull = ada.page.locator("#task-head a.pr")
        await expect(pull).to_contain_text("open", timeout=PATIENCE)
        await ada.is_as_fresh()
        await grace.is_as_fresh()

        await ada.send("Thanks\n\n```script\nsay You are welcome.\n```")
        await grace.agent("You are welcome.").wait_for()
        await ada.finished(2)

        await ada.page.locator("#task-tabs").get_by_role("link", name="Changes").click()
        await expect(ada.page.locator("#task-changes")).to_contain_text("It has been looked at.")

        await ada.page.goto(str(await pull.get_attribute("href")))
        await ada.page.get_by_role("button", name="Merge").first.click()
        await expect(grace.page.locator("#task-head")).to_contain_text("Merged", timeout=PATIENCE)
        await expect(grace.page.locator("#composer")).to_have_count(0)
        await grace.is_as_fresh()
        await grace.page.goto(f"{foundry['Foundry']}/repositories/4001")
        await expect(grace.page.locator("#history")).to_contain_text("“Look at the sums” was merged")
        assert [*ada.complaints, *grace.complaints] == []


async def test_who_signs_out_everywhere_leaves_every_open_page_which_says_why(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        laptop, phone = await tab(browser, foundry["Foundry"], "Ada"), await tab(browser, foundry["Foundry"], "Ada")
        there = phone.page.url
        await laptop.page.get_by_role("link", name="Settings of ada").click()
        await expect(laptop.page.get_by_text("This browser")).to_be_visible()
        laptop.page.on("dialog", lambda dialog: dialog.accept())
        await laptop.page.get_by_role("button", name="Sign out everywhere").click()
        for one in (laptop, phone):
            why = one.page.get_by_text("You were signed out: you signed out everywhere.")
            await expect(why).to_be_visible(timeout=5_000)
        await phone.page.get_by_role("link", name="Sign in with GitHub").click()
        await phone.page.get_by_role("button", name="Ada").first.click()
        await phone.page.wait_for_url(there)


async def test_a_message_waits_its_turn_can_be_taken_back_and_the_agent_be_stopped(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        await ada.new_task("Take your time", "say Working on it.\nsleep 60\nsay Never said.")
        await ada.agent("Working on it.").wait_for()
        await ada.send("```script\nsay First.\n```")
        await ada.send("Not this one")
        queue = ada.page.locator("#session-state .queue li")
        await expect(queue).to_have_count(2)
        await queue.filter(has_text="Not this one").get_by_role("button", name="Withdraw message").click()
        await expect(queue).to_have_count(1)
        await ada.page.get_by_role("button", name="Stop agent").click()
        await ada.agent("First.").wait_for()
        await expect(queue).to_have_count(0)
        await expect(ada.page.locator("#transcript")).to_contain_text("Stopped.")
        await expect(ada.agent("Never said.")).to_have_count(0)
        await ada.is_as_fresh()

        await ada.page.locator("#task-tabs summary", has_text="New session").click()
        await ada.page.get_by_label("First message").fill("```script\nsay I am the second.\n```")
        await ada.page.get_by_role("button", name="Open session").click()
        await ada.agent("I am the second.").wait_for()
        await expect(ada.page.locator("#task-tabs a[aria-current]")).not_to_contain_text("Changes")

        ada.page.on("dialog", lambda dialog: dialog.accept())
        await ada.page.get_by_role("button", name="Archive task").click()
        await expect(ada.page.locator("#task-head")).to_contain_text("Archived", timeout=PATIENCE)
        await expect(ada.page.locator("#composer")).to_have_count(0)
        assert ada.complaints == []


async def test_work_that_was_not_pushed_outlives_its_sandbox(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        await ada.new_task("Leave something behind", "append README.md Not committed.\nsay Left it there.")
        await ada.finished()
        checkpoints = ada.page.locator("#task-checkpoints")
        await expect(checkpoints).to_contain_text("after the agent's turn", timeout=PATIENCE)
        await expect(ada.page.locator("#task-work")).to_contain_text("Uncommitted")
        await ada.is_as_fresh()
        ada.page.on("dialog", lambda dialog: dialog.accept())
        await ada.page.get_by_role("button", name="Archive task").click()
        await expect(ada.page.locator("#task-sandbox")).to_contain_text("Deleted", timeout=PATIENCE)

        await checkpoints.get_by_role("link", name="1").click()
        await expect(ada.page.locator(".changes")).to_contain_text("+Not committed.")
        async with ada.page.expect_download() as download:
            await ada.page.get_by_role("link", name="Download patch").click()
        assert "+Not committed." in Path(await (await download.value).path()).read_text()
        await ada.page.get_by_role("link", name="New task from this checkpoint").click()
        await ada.page.get_by_label("What should change?").fill("Go on\n\n```script\ncommit What was left\n```")
        await ada.page.get_by_role("button", name="Start task").click()
        await ada.page.wait_for_url(f"{ada.url}/tasks/*")
        await ada.finished()
        await expect(ada.page.locator("#task-work")).to_contain_text("README.md", timeout=PATIENCE)
        await expect(ada.page.locator("#task-work")).not_to_contain_text("Uncommitted")
        assert ada.complaints == []


async def test_who_may_only_read_sees_everything_and_no_button(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        await ada.new_task("Ask and wait", "say Before.\nask May I?\nsay After.")
        await ada.page.get_by_role("button", name="Allow").wait_for()
        linus = await tab(browser, foundry["Foundry"], "Linus")
        await linus.page.goto(ada.page.url)
        await linus.agent("Before.").wait_for()
        may = await linus.page.locator("#composer").count()
        assert (await linus.page.get_by_role("button", name="Allow").count() > 0) == (may > 0)
        await ada.page.get_by_role("button", name="Reject").click()
        await ada.finished()
        await linus.finished()
        await linus.is_as_fresh()


async def test_a_refused_new_task_keeps_what_was_typed(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        await ada.page.goto(f"{foundry['Foundry']}/organizations/2001/new")
        await ada.page.get_by_label("What should change?").fill("Something long that nobody wants to type twice")
        await ada.page.get_by_text("Title, branch, agent").click()
        await ada.page.get_by_label("Branch").fill("bad..name")
        await ada.page.get_by_role("button", name="Start task").click()
        await expect(ada.page.locator("#problem")).to_contain_text("git does not allow")
        await expect(ada.page.get_by_label("What should change?")).to_have_value(re.compile("nobody wants"))
        await expect(ada.page.get_by_label("Branch")).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
async def test_no_page_is_wider_than_its_window(foundry: dict[str, str], width: int, scheme: Any) -> None:
    async with chromium() as browser:
        ada = await tab(
            browser, foundry["Foundry"], "Ada", viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        url = foundry["Foundry"]
        await ada.page.goto(f"{url}/organizations/2001?archived=1")
        task = str(await ada.page.locator(".task-row a.title").first.get_attribute("href"))
        pages = ("/organizations/2001", "/organizations/2001/new", "/organizations/2001/issues", "/repositories/4001",
                 task, f"{task}/changes", "/nowhere")  # fmt: skip
        for path in pages:
            await ada.page.goto(url + path)
            assert await ada.page.evaluate("document.documentElement.scrollWidth") <= width, path
            contrast = await ada.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert contrast != "rgba(0, 0, 0, 0)"
