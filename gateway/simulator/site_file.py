"""The gateway's configuration of the simulated house, as site.toml."""

from dataclasses import dataclass

type Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class SitePorts:
    """Where the devices listen and where the gateway shall; a charger in one box has neither converter nor pilot lines."""

    grid_meter: Address
    pv_meter: Address
    battery: Address
    api_port: int
    utility_port: int
    converter: Address | None = None
    pilot_io: Address | None = None
    charger: Address | None = None
    frequency_meter: Address | None = None
    load_io: Address | None = None


_TEMPLATE = """\
# The simulated house. Exchange the addresses for those of real devices and this is a real one.

[site]
name = "Demo house"
serial = "NE-DEMO-0001"
time_zone = "{time_zone}"
state_dir = "state"

[grid]
phases = 3
main_fuse_a = 25.0
import_limit_w = 9000.0
export_limit_w = 4000.0

[api]
bind = "127.0.0.1"
port = {api_port}

[utility]
bind = "127.0.0.1"
port = {utility_port}

[prices]
file = "prices.csv"
currency = "EUR"

[devices.grid]
driver = "meter.eastron_sdm630"
role = "grid"
name = "Grid meter"
{grid_meter}

[devices.pv]
driver = "meter.sunspec"
role = "pv"
name = "Solar roof"
generation_positive = true
{pv_meter}

[devices.battery]
driver = "storage.sunspec"
name = "xStorage"
{battery}
phases = [{battery_phase}]
lease_s = 30

[devices.garage]
driver = "evse.{charger}"
name = "Leaf charger"
phases = [{charger_phase}]
"""

_CAR = """
[devices.leaf]
driver = "vehicle.leaf"
name = "Leaf"
charger = "garage"
can_interface = "slcan"
can_channel = "can1"
polls = true
"""

_FREQUENCY = """
[devices.frequency]
driver = "meter.frequency"
name = "Frequency meter"
{frequency_meter}
register = 19050
update_s = 0.1
resolution_hz = 0.0001
accuracy_hz = 0.002
"""

_BACKUP = """
[backup]
continuous_w = 5000.0
reconnect_s = 10.0
shed_order = ["garage", "heat_pump", "boiler"]

[devices.boiler]
driver = "load.modbus_relay"
name = "Water heater"
power_w = 2000.0
coil = 0
meter_register = 0
watchdog_register = 0
phases = [2]
{load_io}

[devices.heat_pump]
driver = "load.modbus_relay"
name = "Heat pump"
power_w = 1500.0
coil = 1
meter_register = 1
watchdog_register = 0
phases = [3]
{load_io}
"""

_ECHONET = """\
bounded = true
listen = "127.0.0.1"
listen_port = 0
{wall}
"""

_CHADEMO = """\
can_interface = "slcan"
can_channel = "can0"

[devices.garage.converter]
profile = "ne_dc_v1"
{converter}

[devices.garage.pilot]
{pilot_io}
"""


def site_toml(
    ports: SitePorts, *, charger: str, time_zone: str, charger_phase: int, battery_phase: int
) -> str:
    """Return the text of site.toml; ``charger`` is the last part of its driver's name."""

    def at(address: Address | None) -> str:
        return f'host = "{address[0]}"\nport = {address[1]}' if address else ""

    def modbus(address: Address | None) -> str:
        return f"{at(address)}\nunit = 1" if address else ""

    extra = _CAR + (_FREQUENCY if ports.frequency_meter else "") + (_BACKUP if ports.load_io else "")
    template = _TEMPLATE + {"chademo": _CHADEMO, "echonet": _ECHONET}.get(charger, "{wall}\n") + extra
    return template.format(
        charger=charger,
        wall=at(ports.charger) if charger == "echonet" else modbus(ports.charger),
        time_zone=time_zone,
        api_port=ports.api_port,
        utility_port=ports.utility_port,
        grid_meter=modbus(ports.grid_meter),
        pv_meter=modbus(ports.pv_meter),
        battery=modbus(ports.battery),
        converter=modbus(ports.converter),
        pilot_io=modbus(ports.pilot_io),
        frequency_meter=modbus(ports.frequency_meter),
        load_io=modbus(ports.load_io),
        battery_phase=battery_phase,
        charger_phase=charger_phase,
    )
