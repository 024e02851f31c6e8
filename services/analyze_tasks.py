"""Asks one engine the tasks of one conversation, and judges what it says: found or made, recorded, checked, repaired.

Calls are cut by `services.call_plan`. One task's trouble is its own: of an answer to several tasks each part is checked
for itself, and a task whose part does not hold is asked again alone, with the validator's words. A call that was
recorded is not made again, however the calls are cut the next time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from domain.engine import EngineCall
from domain.errors import (
    EngineAnswerError,
    EngineAnswerMalformed,
    EngineAnswerRunaway,
    EngineDefect,
    EngineError,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineRejected,
    ParleyError,
    where,
)
from domain.windows import tokens_of
from services.answers import CheckedValue, SchemaMismatch, check_fields, parse
from services.call_plan import CallGroup, CallShape, plan_calls
from services.calls import Caller, recalled
from services.outcomes import prompt_failed, ran, too_long, unanswered
from services.prompting import PromptFailed
from services.questions import Layout, Part, TaskQuestion
from services.reading import SYSTEM_TOKENS, Reading, TooLong
from services.window_merge import WindowValue, as_merged, findings, merge, needs_call, quoted_turns
from storage.protocols import AnswerRecord

WARMING_TRIES = 2
"""So many calls in a row may fail before the rest of their group goes without a warm cache."""

_REPAIRABLE = (EngineAnswerMalformed, EngineAnswerRunaway, SchemaMismatch)
"""What the model can mend when it is told. A refusal, a filter or too small a limit it cannot."""

_FOR_ALL = (EngineRateLimited, EngineQuotaExhausted)
"""What the next call of the same group would meet as well."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What became of one part. calls: ids of the engine calls it took; last: the one that was of use; group: the call
    that answered it together with others."""

    calls: tuple[str, ...] = ()
    checked: tuple[CheckedValue, ...] = ()
    last: EngineCall | None = None
    error: EngineError | None = None

    @property
    def group(self) -> str | None:
        return self.last.id if self.last is not None and len(self.last.parts) > 1 else None


Outcome = AnswerRecord | EngineError
"""What became of one task: its ledger row with its values, or an error that is worth another try of the stage."""


async def answer_all(
    questions: Sequence[TaskQuestion], caller: Caller, shape: CallShape, beside: Sequence[TaskQuestion] = ()
) -> list[Outcome]:
    """One outcome a question, in their order. All that is under way is waited for, whatever fails; what is not an
    engine's trouble (a lost lease, storage that stays away) is raised then.

    beside: questions of the same run that are settled already. They are not asked; the calls are cut as if they were,
    so that a retry finds the prefix that is in the provider's cache.
    """
    others = [part for question in beside for part in _Task.of(question, shape).parts]
    asking = _Asking(caller, shape, others)
    tasks = [_Task.of(question, shape) for question in questions]
    parts = [part for task in tasks for part in task.parts]
    for part, asked in zip(parts, await asking.ask(parts), strict=True):
        _of(tasks, part).asked.append(asked)
    return await _together([asking.conclude(task) for task in tasks])


@dataclass
class _Task:
    """A question on its way: its parts, one a window, and what became of each. settled: there is nothing to ask."""

    question: TaskQuestion
    parts: Sequence[Part] = ()
    asked: list[Asked] = field(default_factory=list)
    settled: AnswerRecord | None = None

    @classmethod
    def of(cls, question: TaskQuestion, shape: CallShape) -> "_Task":
        try:
            reading = question.reading(shape)
            if isinstance(reading, TooLong):
                return cls(question, settled=too_long(question.run, reading.detail))
            assert isinstance(reading, Reading)
            return cls(question, parts=[question.part(window) for window in reading.windows])
        except PromptFailed as error:
            return cls(question, settled=prompt_failed(question.run, error.message))


def _of(tasks: Sequence[_Task], part: Part) -> _Task:
    return next(task for task in tasks if task.question is part.question)


@dataclass(frozen=True)
class _Asking:
    caller: Caller
    shape: CallShape
    beside: Sequence[Part] = ()

    async def ask(self, parts: Sequence[Part]) -> list[Asked]:
        """Parts on the same turns share their calls; different stretches go side by side."""
        stretches: dict[str, list[Part]] = {}
        for part in parts:
            stretches.setdefault(part.stretch, []).append(part)
        done = await _together([self._stretch(some) for some in stretches.values()])
        asked = {id(part): one for answers in done for part, one in answers}
        return [asked[id(part)] for part in parts]

    async def _stretch(self, parts: Sequence[Part]) -> list[tuple[Part, Asked]]:
        """What is recorded is taken up where it was left; the rest is asked as the plan of them all has it."""
        origin: dict[str, Part] = {}
        planned = [part for part in (*parts, *self.beside) if part.stretch == parts[0].stretch]
        open_: dict[str, Part] = {}
        recorded: dict[str, tuple[EngineCall, list[Part]]] = {}
        for given in parts:
            part, call = self._find(given)
            origin[part.key] = given
            if call is None:
                open_[part.key] = part
            else:
                recorded.setdefault(call.id, (call, []))[1].append(part)
        groups = plan_calls(
            [part.ask for part in planned],
            system_tokens=SYSTEM_TOKENS,
            turns_tokens=tokens_of(parts[0].turns),
            shape=self.shape,
        )
        done = await _together(
            [
                *(self._taken_up(some, call) for call, some in recorded.values()),
                *(self._group(group, {part.key: part for part in planned}, open_) for group in groups),
            ]
        )
        return [(origin[key], asked) for answers in done for key, asked in answers.items()]

    def _find(self, part: Part) -> tuple[Part, EngineCall | None]:
        """The call that is recorded for the part. What was of no use in an earlier entry is asked anew: somebody wanted
        another try."""
        call = self.caller.log.find(part.hash)
        if call is None or not self.caller.log.of_earlier_entry(call):
            return part, call
        try:
            self._checked(part, recalled(call))
        except EngineError:
            part = part.anew(part.question.run.entry)
            return part, self.caller.log.find(part.hash)
        return part, call

    async def _taken_up(self, parts: Sequence[Part], call: EngineCall) -> dict[str, Asked]:
        layout = Layout.of(parts, shared=False)
        try:
            recalled(call)
        except EngineAnswerError as error:
            return await self._unreadable(parts, layout, error, fused=len(call.parts) > 1)
        return await self._split(parts, call, layout)

    async def _group(
        self, group: CallGroup, planned: Mapping[str, Part], open_: Mapping[str, Part]
    ) -> dict[str, Asked]:
        """A group on a shared prefix: one call warms the provider's cache, then the rest go side by side."""
        calls = [[open_[key] for key in call if key in open_] for call in group.calls]
        rest = [call for call in calls if call]
        in_schema = [planned[key] for key in group.keys] if group.shared else [part for call in rest for part in call]
        layout = Layout.of(in_schema, shared=group.shared)
        done: dict[str, Asked] = {}
        for _ in range(WARMING_TRIES if group.shared and len(rest) > 1 else 0):
            first, rest = rest[0], rest[1:]
            done |= await self._call(first, layout)
            error = next((done[p.key].error for p in first), None)
            if error is None or isinstance(error, EngineAnswerError) or not rest:
                break
            if isinstance(error, _FOR_ALL):
                return done | {part.key: Asked(error=error) for call in rest for part in call}
        for more in await _together([self._call(call, layout) for call in rest]):
            done |= more
        return done

    async def _call(self, parts: Sequence[Part], layout: Layout) -> dict[str, Asked]:
        if len(parts) == 1:
            return {parts[0].key: await self._alone(parts[0], layout)}
        try:
            call = await self.caller.call(parts, layout)
        except (EngineAnswerError, EngineRejected) as error:
            return await self._unreadable(parts, layout, error, fused=True)
        except EngineError as error:
            return {part.key: Asked(error=error) for part in parts}
        return await self._split(parts, call, layout)

    async def _split(
        self, parts: Sequence[Part], call: EngineCall, layout: Layout, *, repaired: bool = False
    ) -> dict[str, Asked]:
        """Each part is judged for itself; one that does not hold is asked again alone."""
        done: dict[str, Asked] = {}
        wrong: dict[str, tuple[Part, EngineAnswerError]] = {}
        for part in parts:
            try:
                done[part.key] = Asked(calls=(call.id,), checked=self._checked(part, call), last=call)
            except SchemaMismatch as error:
                wrong[part.key] = part, error
            except EngineAnswerError as error:
                error.call_id = call.id
                return await self._unreadable(parts, layout, error, fused=len(call.parts) > 1, repaired=repaired)
            except EngineError as error:
                done[part.key] = Asked(calls=(call.id,), error=error)
        again = [self._alone(p, _alone_in(layout, p), error, used=(call.id,)) for p, error in wrong.values()]
        return done | dict(zip(wrong, await _together(again), strict=True))

    async def _unreadable(
        self,
        parts: Sequence[Part],
        layout: Layout,
        error: EngineAnswerError | EngineRejected,
        *,
        fused: bool,
        repaired: bool = False,
    ) -> dict[str, Asked]:
        """The whole answer is of no use. One that several tasks share is repaired once together, which is cheap, if it
        can be; then each task is asked alone, so that whoever is the cause does no harm to the others."""
        used = (error.call_id,) if isinstance(error, EngineAnswerError) and error.call_id else ()
        if fused and not repaired and isinstance(error, EngineAnswerMalformed):
            mended = [part.repaired(error.message) for part in parts]
            return _with(used, await self._repair_together(mended, layout))
        if fused or isinstance(error, EngineRejected):
            repairs = 0 if repaired else 1
            alone = [self._alone(p.apart(), _alone_in(layout, p), used=used, repairs=repairs) for p in parts]
        else:
            alone = [self._alone(p, _alone_in(layout, p), error, used=used) for p in parts]
        return dict(zip([part.key for part in parts], await _together(alone), strict=True))

    async def _repair_together(self, mended: Sequence[Part], layout: Layout) -> dict[str, Asked]:
        try:
            call = await self.caller.call(mended, layout)
        except (EngineAnswerError, EngineRejected) as error:
            return await self._unreadable(mended, layout, error, fused=True, repaired=True)
        except EngineError as error:
            return {part.key: Asked(error=error) for part in mended}
        return await self._split(mended, call, layout, repaired=True)

    async def _alone(
        self,
        part: Part,
        layout: Layout,
        problem: EngineAnswerError | None = None,
        *,
        used: tuple[str, ...] = (),
        repairs: int = 1,
    ) -> Asked:
        """Asks one task. problem: what was wrong with its last answer; then this is its repair."""
        if problem is not None and not isinstance(problem, _REPAIRABLE):
            return Asked(calls=used, error=problem)
        asked = part if problem is None else part.repaired(problem.message)
        repairs = repairs if problem is None else 0
        while True:
            call: EngineCall | None = None
            try:
                call = await self.caller.call([asked], layout)
                checked = self._checked(part, call)
                return Asked(calls=(*used, call.id), checked=checked, last=call)
            except EngineAnswerError as error:
                problem = error
                used = (*used, *filter(None, (call.id if call else error.call_id,)))
            except EngineError as error:
                return Asked(calls=used, error=error)
            if repairs == 0 or not isinstance(problem, _REPAIRABLE):
                return Asked(calls=used, error=problem)
            asked, repairs = part.repaired(problem.message), 0

    @staticmethod
    def _checked(part: Part, call: EngineCall) -> tuple[CheckedValue, ...]:
        """Raises EngineError; a defect of the check is one task's trouble too."""
        try:
            return check_fields(parse(call.answer or ""), part.fields, part.ground)
        except ParleyError:
            raise
        except Exception as error:
            _log.error("the answer for %s could not be checked: %s", part.asked.name, where(error))
            raise EngineDefect(f"unexpected {type(error).__qualname__}") from None

    async def conclude(self, task: _Task) -> Outcome:
        """The task's row and values; windows are merged."""
        if task.settled is not None:
            return task.settled
        question = task.question
        calls = tuple(dict.fromkeys(call for one in task.asked for call in one.calls))
        errors = [one.error for one in task.asked if one.error is not None]
        if errors:
            return _failed(question, errors, calls)
        last = task.asked[-1]
        if len(task.parts) == 1:
            return ran(question, last.checked, last.last, calls, last.group)
        given = [
            [WindowValue(p.turns, one.checked[at]) for p, one in zip(task.parts, task.asked, strict=True)]
            for at in range(len(question.task.fields))
        ]
        more = [at for at, f in enumerate(question.task.fields) if needs_call(f, given[at])]
        words: dict[str, CheckedValue] = {}
        if more:
            fields, values = tuple(question.task.fields[at] for at in more), [given[at] for at in more]
            part = question.part(quoted_turns(values, question.turns), fields, findings(fields, values))
            (last,) = await self.ask([part])
            calls = (*calls, *last.calls)
            if last.error is not None:
                return _failed(question, [last.error], calls)
            words = {value.field.key: as_merged(value, len(task.parts)) for value in last.checked}
        merged = tuple(
            words.get(f.key) or merge(f, given[at], question.turns) for at, f in enumerate(question.task.fields)
        )
        group = next((one.group for one in task.asked if one.group is not None), None)
        return ran(question, merged, last.last, calls, group)


def _failed(question: TaskQuestion, errors: Sequence[EngineError], calls: tuple[str, ...]) -> Outcome:
    """An error worth another try goes before one that is not."""
    again = next((error for error in errors if error.retryable), None)
    return again if again is not None else unanswered(question.run, errors[0], calls)


def _alone_in(layout: Layout, part: Part) -> Layout:
    """A task is asked again on the prefix its group shares, or with a schema of its own."""
    return layout if layout.shared else Layout.of([part], shared=False)


def _with(calls: tuple[str, ...], done: Mapping[str, Asked]) -> dict[str, Asked]:
    """With the calls that came before, each named once."""
    return {
        key: Asked(tuple(dict.fromkeys((*calls, *one.calls))), one.checked, one.last, one.error)
        for key, one in done.items()
    }


async def _together(work: Sequence[Awaitable[T]]) -> list[T]:
    """All are waited for, also when one fails: nothing is under way any more when its error is raised."""
    raised: list[Exception] = []

    async def held(one: Awaitable[T]) -> list[T]:
        try:
            return [await one]
        except Exception as error:
            raised.append(error)
            return []

    done = await asyncio.gather(*map(held, work))
    if raised:
        raise raised[0]
    return [answer for answers in done for answer in answers]
