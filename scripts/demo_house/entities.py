"""Finds the integration's entities by what they are, never by a guessed entity id."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from .home_assistant import DOMAIN, Session
from .processes import DemoError

SITE = "site"


@dataclass(frozen=True, slots=True)
class Entity:
    """One row of the entity registry. `` is made of the gateway's serial number, its device or "site", and a key."""

    entity_id: str
    domain: str
    unique_id: str
    device_id: str | None
    enabled: bool


class Catalog:
    """The integration's part of the entity registry, at one instant."""

    def __init__(self, entities: tuple[Entity, ...]) -> None:
        self._entities = entities

    @classmethod
    async def read(cls, session: Session) -> Self:
        """Read the registry of a running Home Assistant."""
        rows: list[Mapping[str, Any]] = await session.ask("config/entity_registry/list")
        return cls(tuple(_entity(row) for row in rows if row["platform"] == DOMAIN))

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._entities)

    def __len__(self) -> int:
        return len(self._entities)

    def find(self, domain: str, key: str, device: str = SITE) -> Entity | None:
        """Return the enabled entity with that key of a device of the gateway, or of the site itself."""
        tail = f"_{device}_{key}"
        return next(
            (e for e in self if e.domain == domain and e.enabled and e.unique_id.endswith(tail)), None
        )

    def entity_id(self, domain: str, key: str, device: str = SITE) -> str:
        """Return its entity id. Raises DemoError when there is none."""
        if (entity := self.find(domain, key, device)) is None:
            raise DemoError(f"Home Assistant has no {domain} {key!r} of {device!r}")
        return entity.entity_id


def _entity(row: Mapping[str, Any]) -> Entity:
    domain = row["entity_id"].split(".")[0]
    return Entity(
        row["entity_id"], domain, row["unique_id"], row["device_id"], enabled=row["disabled_by"] is None
    )
