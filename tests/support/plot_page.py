"""The HTML pages of `python -m service.plot`, parsed."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The text of a page, and each token with its colour step and title."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.text = ""
        self.tokens: list[tuple[str, int, str]] = []
        self.links: list[str] = []
        self._inside = False
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self._inside |= attributes.get("class") == "text"
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "span" and self._inside:
            step = int((attributes["class"] or "").split()[0].removeprefix("s"))
            self.tokens.append(("", step, attributes["title"] or ""))
        self._token = tag == "span" and self._inside

    def handle_endtag(self, tag: str) -> None:
        self._token = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.text += data
        if self._inside and self._token:
            self.tokens[-1] = (data, *self.tokens[-1][1:])
