"""Contracts of everything that touches wires, and the table of drivers.

A driver owns its connection, converts units and signs, and reports through its ``Sink``. ``apply`` never blocks: it
hands the newest setpoint to the driver's own task, which writes it once, reads it back and lets it expire.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Protocol, runtime_checkable

from gateway.faults import ConfigError, FaultCode
from gateway.model import (
    DeviceId,
    DeviceInfo,
    EvSample,
    EvseSample,
    FailSafeCard,
    LoadSample,
    MeterSample,
    Setpoint,
    StorageSample,
)

DRIVERS: dict[str, str] = {
    "meter.eastron_sdm630": "gateway.devices.meter:ModbusMeter",
    "meter.sunspec": "gateway.devices.meter:SunSpecMeter",
    "meter.frequency": "gateway.devices.frequency_meter:FrequencyMeter",
    "storage.sunspec": "gateway.devices.storage.sunspec:SunSpecStorage",
    "evse.chademo": "gateway.devices.chademo.evse:ChademoEvse",
    "evse.quasar": "gateway.devices.quasar:Quasar",
    "evse.bidipro": "gateway.devices.bidipro:Bidipro",
    "evse.echonet": "gateway.devices.echonet.evse:EchonetEvse",
    "load.modbus_relay": "gateway.devices.load.modbus_relay:ModbusRelay",
    "vehicle.leaf": "gateway.devices.leaf.vehicle:Leaf",
}


class Sink(Protocol):
    """One device's slot in the process image; each call replaces what was there."""

    def sample(self, sample: MeterSample | StorageSample | EvseSample | EvSample | LoadSample) -> None:
        """Publish the newest sample."""

    def identity(self, info: DeviceInfo) -> None:
        """Publish identity and nameplate, once they are read."""

    def fault(self, code: FaultCode, detail: str) -> None:
        """Raise a fault; raising it again only updates the detail."""

    def clear(self, code: FaultCode) -> None:
        """Clear a fault; clearing what is not raised is no error."""


class Device(Protocol):
    """What every driver offers. ``info`` is the configured identity until the device has told its own."""

    info: DeviceInfo
    card: FailSafeCard

    async def run(self, sink: Sink) -> None:
        """Connect, read and reconnect until cancelled; never raise what the device does. On cancellation make safe."""


class Meter(Device, Protocol):
    """A device that measures."""


class Vehicle(Device, Protocol):
    """A car on its own bus; it only listens and asks."""


class Actuator(Device, Protocol):
    """A device that takes setpoints."""

    def apply(self, setpoint: Setpoint) -> None:
        """Take the newest setpoint; returns at once."""

    async def release(self) -> None:
        """Ramp to 0 W and hand control back to the device, within 5 s; called once at shutdown."""


class Evse(Actuator, Protocol):
    """A charger. ``stop_causes`` are all the codes that its samples may give, and every one has a text for the owner."""

    stop_causes: ClassVar[frozenset[str]]


@runtime_checkable
class Inspectable(Protocol):
    """An actuator with a fault that only an inspection may lift."""

    def acknowledge(self, code: FaultCode) -> str:
        """Lift a fault that was inspected; return why that is refused, empty when it is done."""


@runtime_checkable
class HearsOfVehicle(Protocol):
    """An EVSE that wants to know what others know of its car."""

    def vehicle_says(self, aux_voltage_v: float | None) -> None:
        """Take the car's 12 V, None while nobody knows it."""


def driver_class(driver: str, where: str) -> Any:
    """Return the class of ``driver``. Raises ConfigError, naming the known ones, for an unknown name."""
    if driver not in DRIVERS:
        known = ", ".join(sorted(DRIVERS))
        raise ConfigError(f"{where}.driver: unknown driver {driver!r}; write one of: {known}")
    module, name = DRIVERS[driver].split(":")
    return getattr(import_module(module), name)


def open_device(device: DeviceId, driver: str, table: Mapping[str, Any]) -> Device:
    """Build the driver of one ``[devices.<id>]`` table, without touching a wire. Raises ConfigError."""
    opened: Device = driver_class(driver, f"devices.{device}").from_table(device, driver, table)
    return opened
