"""How far a replay is from its recording, and what is nobody's decision in it."""

from gateway.devices.recording.comparison import Followed
from gateway.devices.recording.events import Said


def said(at_s, power_w):
    return Said(at_s, "garage", "EvseSample", {"power_w": power_w})


def test_a_poll_out_of_step_is_none_and_another_value_is():
    followed = Followed("garage")
    for at_s, power_w in ((0.0, 0.0), (0.5, 700.0), (1.0, 1000.0), (1.5, 1000.0), (2.0, 400.0)):
        followed.recorded(said(at_s, power_w))
    for at_s, power_w in ((0.0, 0.0), (0.5, 0.0), (1.0, 700.0), (1.5, 1000.0), (2.0, 1000.0)):
        followed.ours(said(at_s, power_w))
    assert followed.apart("power_w") == [0.0, 700.0, 300.0, 0.0, 600.0]
    assert followed.apart("power_w", 0.6) == [0.0, 0.0, 0.0, 0.0, 600.0]
