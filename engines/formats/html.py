"""HTML as a person would read it: text alone, in bounded time and memory.

What is hidden goes (scripts, styles, elements that are not displayed). Quoted mail is kept and marked with `> `, as in
plain text, so that one rule takes it off when the message is read (`domain.replies`).
"""

import re
from html import unescape

import lxml.html
from inscriptis.css_profiles import STRICT_CSS_PROFILE
from inscriptis.html_engine import Inscriptis
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement
from lxml import etree

MAX_HTML = 2_000_000
"""Characters of HTML that are read; mail clients write some 20 for each one of text."""

MOST_ELEMENTS = 30_000
"""Above this only the tags are taken out: laying out takes some 30 µs an element. Long mail has a few thousand."""

_GONE_TAGS = """
    script style head title meta link template noscript object embed applet iframe svg math audio video canvas
    input button select textarea
"""
_GONE = frozenset(_GONE_TAGS.split())
_BLOCKS = {"table": "div", "thead": "div", "tbody": "div", "tfoot": "div", "tr": "div", "td": "span", "th": "span",
           "dl": "div", "dt": "div", "dd": "div", "center": "div", "section": "div", "form": "div"}  # fmt: skip
_QUOTED_CLASSES = frozenset(
    ("yahoo_quoted", "protonmail_quote", "zmail_extra", "moz-forward-container", "WordSection2")
)
_GAVE_UP = frozenset(("ERR_INTERNAL_ERROR", "ERR_RESOURCE_LIMIT", "ERR_NO_MEMORY"))
"""What the parser says when it leaves the rest out: elements too deep within each other, or too much of something."""

_HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all|visibility\s*:\s*hidden", re.IGNORECASE)
_MARK = "\ue000"
_MARKS = re.compile("\ue000(\\d+)\ue000")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_DECLARATION = re.compile(r"<\?xml[^>]{0,200}\?>")
_BLANK_LINES = re.compile(r"\n{3,}")
_CSS = {**STRICT_CSS_PROFILE, **{tag: HtmlElement(display=Display.block) for tag in ("ul", "ol")}}
_CONFIG = ParserConfig(css=_CSS)  # without indentation, which grows with every list inside a list


def html_text(html: str) -> str:
    """The text of an HTML document or fragment; what is longer than MAX_HTML is cut."""
    body = _CONTROLS.sub("", html[:MAX_HTML]).replace(_MARK, "").strip()
    declared = _DECLARATION.match(body)
    body = body[declared.end() :] if declared else body
    if not body:
        return ""
    parser = lxml.html.HTMLParser(huge_tree=False, no_network=True)
    try:
        tree = lxml.html.document_fromstring(body, parser=parser)
        gave_up = any(error.type_name in _GAVE_UP for error in parser.error_log)
        if gave_up or body.count("<") > 2 * MOST_ELEMENTS:
            return _without_tags(body)
        return _rendered(tree)
    except (etree.LxmlError, ValueError, TypeError, AssertionError, RecursionError):
        return _without_tags(body)


def _rendered(tree: lxml.html.HtmlElement) -> str:
    quotes: list[str] = []
    for element in _outermost_quotes(tree):
        after, element.tail = element.tail, None  # else it would be laid out as part of the quote
        quotes.append(_quoted(_laid_out(element)))
        element.clear()
        element.tag, element.text, element.tail = "div", f"{_MARK}{len(quotes) - 1}{_MARK}", after
    return _tidy(_MARKS.sub(lambda found: quotes[int(found[1])], _laid_out(tree)))


def _laid_out(tree: lxml.html.HtmlElement) -> str:
    _flatten(tree)
    return _tidy(Inscriptis(tree, _CONFIG).get_text())


def _outermost_quotes(tree: lxml.html.HtmlElement) -> list[lxml.html.HtmlElement]:
    """Elements that hold mail that is answered and are not within another such."""
    found = []
    waiting = [tree]
    while waiting:
        element = waiting.pop()
        if not isinstance(element.tag, str):
            continue
        if element is not tree and _is_quote(element):
            found.append(element)
        else:
            waiting.extend(element)
    return found


def _is_quote(element: lxml.html.HtmlElement) -> bool:
    if element.tag == "blockquote":
        return True
    classes = (element.get("class") or "")[:200].split()
    return any(name in _QUOTED_CLASSES for name in classes)


def _quoted(text: str) -> str:
    return "\n" + "\n".join(f"> {line}".rstrip() for line in text.split("\n")) + "\n"


def _flatten(tree: lxml.html.HtmlElement) -> None:
    """Takes out what is hidden, all attributes, and tables' layout, which makes lines as wide as one likes."""
    for element in list(tree.iter()):
        if not isinstance(element.tag, str):
            continue  # a comment: passed over as it is
        if element is not tree and (element.tag in _GONE or _is_hidden(element)):
            element.clear(keep_tail=True)
            element.tag = "script"
            continue
        if element.tag in ("td", "th"):
            element.tail = f" {element.tail or ''}"
        element.tag = _BLOCKS.get(element.tag, element.tag)
        element.attrib.clear()


def _is_hidden(element: lxml.html.HtmlElement) -> bool:
    style = element.get("style")
    return element.get("hidden") is not None or (style is not None and _HIDDEN.search(style[:2000]) is not None)


def _without_tags(html: str) -> str:
    """The text of HTML that no parser takes: everything outside of `<…>`."""
    first, *rest = html.split("<")
    return _tidy(unescape(" ".join([first, *(part.partition(">")[2] for part in rest)])))


def _tidy(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip()
