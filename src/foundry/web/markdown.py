"""Converts an agent's text to safe HTML: renders markdown without raw HTML, then sanitizes the result.

Guarantee: an agent's text cannot run a script, load anything from another server, or look like one of our controls.
Images become links; links are absolute http(s) or mailto and open without a referrer.
"""

from __future__ import annotations

import re
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from pygments import highlight as paint
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

HIGHLIGHT_LIMIT = 20_000  # characters; a longer code block gets no syntax highlighting
MARKDOWN_LIMIT = 200_000  # characters; a longer entry is shown as plain text

_TAGS = {
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "span",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
}
_ATTRIBUTES = {"a": {"href", "title"}, "code": {"class"}, "span": {"class"}, "pre": {"class"}, "ol": {"start"}}
_LINK = re.compile(r"^(https?://|mailto:)", re.IGNORECASE)
_FORMATTER = HtmlFormatter[str](nowrap=True, classprefix="k-")
_CLASS = re.compile(r"^(k-[a-z0-9]{1,4}|code)$")


def _code(text: str, language: str, _attributes: str) -> str:
    if not language or len(text) > HIGHLIGHT_LIMIT:
        return str(escape(text))
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return str(escape(text))
    return paint(text, lexer, _FORMATTER)


def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "highlight": _code}).enable(["table", "strikethrough"])
    reader.disable("image")
    reader.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]
    return reader


_READER = _reader()


def _kept(_tag: str, attribute: str, value: str) -> str | None:
    """Allow only the syntax highlighter's classes, so that text cannot imitate our controls."""
    if attribute != "class":
        return value
    return " ".join(name for name in value.split() if _CLASS.match(name)) or None


@lru_cache(maxsize=512)
def markdown(text: str) -> Markup:
    """Render the text as HTML that is safe in a page."""
    if len(text) > MARKDOWN_LIMIT:
        return Markup('<pre class="plain">%s</pre>') % text
    html = _READER.render(text)
    return Markup(
        nh3.clean(
            html,
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            attribute_filter=_kept,
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )
    )
