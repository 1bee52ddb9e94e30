"""What the log holds of deployed stacks."""

from sqlalchemy import select, text

from adapters.store.reader import EVENT, Reader
from adapters.store.tables import FINAL_SQL
from domain.events import CommandPlanned, decode
from domain.lifecycle import Status
from domain.objects import Kind, column_name
from domain.plan_record import recorded_plan
from domain.stacks.recorded import Deployed


class SqlRecordedStacks:
    """Satisfies ``domain.stacks.recorded.RecordedStacks``."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def last_deployed(self, project: str) -> Deployed | None:
        newest = (
            select(EVENT.c.stream)
            .where(EVENT.c.object == column_name(Kind.STACK, project))
            .where(EVENT.c.tool == "deploy-compose", EVENT.c.status == Status.SUCCESS, text(FINAL_SQL))
            .order_by(EVENT.c.position.desc())
            .limit(1)
        )
        rows = self._reader.rows(newest)
        if not rows:
            return None
        command_id = rows[0].stream
        decoded = [decode(event.type, event.data) for event in self._reader.stream(command_id)]
        plan = recorded_plan(event for event in decoded if isinstance(event, CommandPlanned))
        return Deployed(command_id, tuple(sorted((plan or {}).get("services", {}))))
