"""What the log holds of deployed stacks."""

from typing import Final

from adapters.store.questions import Questions
from adapters.store.session import FINAL_SQL
from domain.events import CommandPlanned, decode
from domain.lifecycle import Status
from domain.objects import Kind, column_name
from domain.plan_record import recorded_plan
from domain.stacks.recorded import Deployed

_LAST_DEPLOYED: Final = (
    f"SELECT stream FROM event WHERE object = ? AND tool = 'deploy-compose' AND status = '{Status.SUCCESS}' "  # noqa: S608
    f"AND {FINAL_SQL} ORDER BY position DESC LIMIT 1"
)


class SqlRecordedStacks:
    """Satisfies ``domain.stacks.recorded.RecordedStacks``."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    def last_deployed(self, project: str) -> Deployed | None:
        rows = self._questions.rows(_LAST_DEPLOYED, column_name(Kind.STACK, project))
        if not rows:
            return None
        command_id = str(rows[0][0])
        decoded = [decode(event.type, event.data) for event in self._questions.stream(command_id)]
        plan = recorded_plan(event for event in decoded if isinstance(event, CommandPlanned))
        return Deployed(command_id, tuple(sorted((plan or {}).get("services", {}))))
