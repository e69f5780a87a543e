"""Much seen, little kept: samples in bounded memory, the same ones whenever the same is seen again."""

from __future__ import annotations

import random
from hashlib import blake2b

MOST = 100_000
_BYTES = 8


class Reservoir:
    """At most `most` values, each of those seen as likely as the others.

    Source: Vitter, "Random sampling with a reservoir", ACM TOMS 11(1), 1985, algorithm R.
    """

    def __init__(self, most: int = MOST) -> None:
        self.kept: list[float] = []
        self._most, self._seen = most, 0
        # Seeded, as a sample for statistics need not be secret and should be the same again.
        self._chance = random.Random(0)

    def add(self, value: float) -> None:
        self._seen += 1
        if len(self.kept) < self._most:
            self.kept.append(value)
            return
        place = self._chance.randrange(self._seen)
        if place < self._most:
            self.kept[place] = value


class Share:
    """Which names are followed: all, or after each `halve` half of those before, by a hash of the name."""

    def __init__(self) -> None:
        self.part = 1

    def has(self, name: str) -> bool:
        if self.part == 1:
            return True
        digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()
        return int.from_bytes(digest) * self.part < 1 << 8 * _BYTES

    def halve(self) -> None:
        self.part *= 2


class Distinct:
    """How many different names there were, exactly up to `most` of them.

    Source of the estimate beyond: Flajolet, "On adaptive sampling", Computing 43(4), 1990.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._share = most, Share()
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        if self._share.has(name):
            self._names.add(name)
            while len(self._names) > self._most:
                self._share.halve()
                self._names = {name for name in self._names if self._share.has(name)}

    @property
    def count(self) -> int:
        return len(self._names) * self._share.part
