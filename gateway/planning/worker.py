"""The planner's own process: questions come in on standard input, answers go out on standard output.

It ends when its input does, so that it never outlives who asks. It is niced: control and the owner's interface go first.
"""

import os
import sys
from typing import BinaryIO

import msgspec

from gateway.planning.fleet import solve_fleet
from gateway.planning.optimizer import Solver
from gateway.planning.orders import plan_of
from gateway.planning.problem import Band, Series
from gateway.planning.question import Answer, Expected, Question
from gateway.planning.situation import situation

NICE = 10
MANY = 8
"""More stores than a home has: a fleet, planned by prices."""


def answer_to(question: Question, solver: Solver | None = None) -> Answer:
    """Return the plan for what ``question`` tells."""
    known = situation(question)
    if len(known.problem.stores) > MANY:
        schedule = solve_fleet(known.problem, within_s=question.within_s)
    else:
        schedule = (solver or Solver()).solve(known.problem, within_s=question.within_s)
    plan = plan_of(known.problem, schedule, question.because, known.notes)
    load_w, pv_w = known.problem.load_w, known.problem.pv_w
    return Answer(plan, Expected(_told(load_w.p50), _told(pv_w.p50), _band(load_w), _band(pv_w)))


def _told(series: Series) -> tuple[float, ...]:
    return tuple(round(float(w), 1) for w in series)


def _band(band: Band) -> tuple[tuple[float, float], ...]:
    return tuple(zip(_told(band.p10), _told(band.p90), strict=True))


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer frames (a 4-byte big-endian length, then MessagePack) until ``source`` ends."""
    decoder, encoder = msgspec.msgpack.Decoder(Question), msgspec.msgpack.Encoder()
    solver = Solver()
    while len(size := source.read(4)) == 4:
        question = decoder.decode(source.read(int.from_bytes(size, "big")))
        body = encoder.encode(answer_to(question, solver))
        sink.write(len(body).to_bytes(4, "big") + body)
        sink.flush()


def main() -> None:
    """Serve standard input and output; what a library prints goes to standard error."""
    os.nice(NICE)
    with os.fdopen(os.dup(1), "wb") as sink:
        os.dup2(2, 1)
        serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
