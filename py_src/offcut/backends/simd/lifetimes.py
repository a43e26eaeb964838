"""When each buffer of a draft is in use, and which take the place of one that is done with.

An elementwise operator on floats writes over an operand that nothing reads any more: memory that
has just been read is written faster than other memory, and the arena is smaller.
"""

from __future__ import annotations

from offcut.backends.simd.draft import Draft, Host, Instruction, Table
from offcut.backends.simd.values import Place
from offcut.plan import Buffer

__all__ = ["lifetimes"]

IN_PLACE = "elementwise_float"  # it reads each of its steps before it writes it


def lifetimes(draft: Draft) -> tuple[list[Buffer], list[int]]:
    """Return each buffer's first and last step, and in which one's place it lies: mostly its own.

    One that lies in another's place needs no room itself, and the other lives as long as both.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for at, step in enumerate(draft.steps):
        if isinstance(step, Host):
            continue
        buffers = step.buffers if isinstance(step, Instruction) else step.value.buffers
        for buffer in buffers:
            first.setdefault(buffer, at)
            last[buffer] = at
    sizes, owners = list(draft.buffers), list(range(len(draft.buffers)))
    for at, step in enumerate(draft.steps):
        if not isinstance(step, Instruction) or step.kernel != IN_PLACE:
            continue
        made = _places(step, "out")[0][0]
        done = {buffer for buffer in step.buffers if last[buffer] == at}
        over = _overwritten(step, {i for i in done if draft.buffers[i] == draft.buffers[made]})
        if over is not None:
            owner = owners[made] = owners[over]
            sizes[made], last[owner] = 0, last[made]
    found = (Buffer(size, first.get(i, 0), last.get(i, 0)) for i, size in enumerate(sizes))
    return list(found), owners


def _overwritten(step: Instruction, done: set[int]) -> int | None:
    """Return the buffer of an operand that the result may lie in, if there is one.

    done: buffers as large as the result, so that nothing in them is broadcast, that are not read
    again. The result takes the place of the operand float by float, and no other one lies there.
    """
    made, sides = _places(step, "out"), [_places(step, side) for side in "ab"]
    for places in sides:
        buffer = places[0][0]
        same = tuple((buffer, offset) for _, offset in made)
        there = [other for other in sides if buffer in {number for number, _ in other}]
        if buffer in done and all(other == same for other in there):
            return buffer
    return None


def _places(step: Instruction, name: str) -> tuple[Place, ...]:
    table = step.args[name]
    assert isinstance(table, Table)
    return table.places
