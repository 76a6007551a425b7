"""People at their browsers: a demo that stays up, and each person's tab in Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.harness.stage import remove_sandboxes
from tests.waiting import eventually

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


@contextmanager
def demo(home: Path, sandbox_agent_cache: Path, **settings: str) -> Iterator[dict[str, str]]:
    """A demo that has done its job and stays up; gives its addresses."""
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium; apt-get install chromium")
    (home / "data").mkdir()
    (home / "data" / "sandbox-agent").symlink_to(sandbox_agent_cache / "sandbox-agent")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRY_")}
    command = [sys.executable, "-m", "foundry.cli", "demo", "--data-dir", str(home), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kept | settings
    )
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
