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
    load_w, pv_w = known.problem.load_w.p50, known.problem.pv_w.p50
    return Answer(
        plan, Expected(tuple(round(float(w), 1) for w in load_w), tuple(round(float(w), 1) for w in pv_w))
    )


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
