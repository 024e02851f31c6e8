"""What was guessed or left out while reading, one note a kind."""

from collections import Counter

from domain.conversation import Note
from domain.text import counted


class Notes:
    """Collects notes: the first of each code is kept, with how often it came."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._count: Counter[str] = Counter()

    def add(self, code: str, detail: str) -> None:
        self._first.setdefault(code, detail)
        self._count[code] += 1

    def all(self) -> tuple[Note, ...]:
        return tuple(Note(code=code, detail=self._detail(code)[:500]) for code in self._first)

    def _detail(self, code: str) -> str:
        count = self._count[code]
        return self._first[code] if count == 1 else f"{counted(count, 'time')}; one: {self._first[code]}"
