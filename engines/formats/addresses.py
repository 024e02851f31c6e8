"""Who wrote an email and to whom, and which of them are the company's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import getaddresses

from domain.conversation import Role
from engines.formats.mime import Head, decode_words

_LONGEST_ADDRESS = 320


@dataclass(frozen=True)
class Address:
    """address: lower case. name: as it is shown, None when there is none."""

    address: str
    name: str | None


class OwnAddresses:
    """The company's addresses and domains. A domain counts with all below it; `help+4711@…` counts as `help@…`."""

    def __init__(self, given: Iterable[str]) -> None:
        entries = [one.strip().lower() for one in given]
        self._addresses = {one for one in entries if one.find("@") > 0}
        self._domains = tuple(one.lstrip("@").removeprefix("*.") for one in entries if one.find("@") <= 0)

    def __bool__(self) -> bool:
        return bool(self._addresses or self._domains)

    def __contains__(self, address: str) -> bool:
        local, _, domain = address.lower().rpartition("@")
        plain = f"{local.partition('+')[0]}@{domain}"
        return address.lower() in self._addresses or plain in self._addresses or self.has_domain(domain)

    def has_domain(self, name: str) -> bool:
        """Whether a host's name is one of the company's or below one."""
        name = name.lower().strip(".")
        return any(name == domain or name.endswith(f".{domain}") for domain in self._domains)

    def role_of(self, address: str) -> Role:
        """Agent or customer; unknown when nothing is known of the company's addresses."""
        if not self:
            return Role.UNKNOWN
        return Role.AGENT if address in self else Role.CUSTOMER


def addresses(values: Sequence[str]) -> list[Address]:
    """The addresses of headers' values, each once; what is none is passed over."""
    try:
        pairs = getaddresses(list(values))
    except (RecursionError, ValueError, IndexError, TypeError):
        return []
    found: dict[str, Address] = {}
    for name, address in pairs:
        plain = address.strip().strip("<>").lower()
        if plain.find("@") > 0 and not plain.endswith("@") and len(plain) <= _LONGEST_ADDRESS and plain.isprintable():
            shown = " ".join(decode_words(name).split()).strip("\"' ") or None
            found.setdefault(plain, Address(plain, None if shown and shown.lower() == plain else shown))
    return list(found.values())


def sender_of(head: Head) -> Address | None:
    """Under whose address the message was sent."""
    written = addresses([head.get("from")]) or addresses([head.get("sender")])
    return written[0] if written else None


def recipients_of(head: Head) -> list[Address]:
    return addresses([*head.all("to"), *head.all("cc")])


def author_of(head: Head, own: OwnAddresses) -> Address | None:
    """Who wrote the message. Mailing lists that write their own address into From name the author elsewhere; so do
    contact forms, whose messages go from the company to itself and are answered to the customer."""
    sender = sender_of(head)
    if sender is not None and sender.address not in own:
        return sender
    behind = [*head.all("x-original-from"), *head.all("x-original-sender")]
    if sender is not None and all(one.address in own for one in recipients_of(head)):
        behind += head.all("reply-to")
    return next((one for one in addresses(behind) if one.address not in own), sender)
