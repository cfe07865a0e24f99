"""Browsing Modbus: the framing behind a port, SunSpec models with the device's identity, and a guess at the word order. Reads a few registers only."""

from collections.abc import Mapping
from typing import Any, Final

from edge_agent import meter
from edge_agent.browse.listing import Listing, identifier, toml
from edge_agent.drivers.declared import Bus
from edge_agent.drivers.driver import DeviceRefused, DeviceUnreachable, DriverError, Gateway
from edge_agent.drivers.modbus import detect, sunspec
from edge_agent.drivers.modbus.declared import RtuBus, TcpBus
from edge_agent.drivers.modbus.reader import RegisterReader
from edge_agent.drivers.table import declared, open_driver

# SunSpec Information Model Reference: what the models are called that are read here, and those that often stand beside them.
_MODELS: Final = {
    1: "common", 101: "inverter, single phase", 102: "inverter, split phase", 103: "inverter, three phases",
    111: "inverter, single phase, float", 112: "inverter, split phase, float", 113: "inverter, three phases, float",
    120: "nameplate", 121: "basic settings", 122: "measurements and status", 123: "immediate controls", 124: "storage",
    160: "MPPT", 201: "meter, single phase", 202: "meter, split phase", 203: "meter, wye", 204: "meter, delta",
    211: "meter, single phase, float", 212: "meter, split phase, float", 213: "meter, wye, float", 214: "meter, delta, float",
    701: "DER AC measurement", 702: "DER capacity", 704: "DER AC controls", 713: "DER storage capacity",
    714: "DER DC measurement", 802: "battery", 803: "lithium-ion bank", 804: "lithium-ion string",
}  # fmt: skip
_SPAN: Final = 80  # registers looked at for the word order, in each table
_STEP: Final = 20
_FEWEST: Final = 4


async def browse(bus: Bus, gateway: Gateway) -> tuple[Bus, list[Listing]]:
    """The bus with the framing that was found, and a listing for each device that it names (unit 1 where none).

    Raises DriverError, also where none of them has answered anything.
    """
    assert isinstance(bus, TcpBus | RtuBus)
    units = list(dict.fromkeys(device.unit for device in bus.device)) or [1]
    notes: tuple[str, ...] = ()
    if bus.host is not None and bus.port is not None:
        told = await detect.framing(bus.host, bus.port, units[0], timeout_s=bus.timeout_s)
        notes = (told.text,)
        if told.protocol is not None and told.protocol != bus.protocol:
            bus = _other(bus, told.protocol)
    driver = open_driver(bus, gateway)
    assert isinstance(driver, RegisterReader)
    try:
        listings, silent = list[Listing](), list[str]()
        for unit in units:
            try:
                listings.append(await _unit(bus, driver, unit, notes))
            except DeviceUnreachable as fault:
                silent.append(str(fault))
                listings.append(Listing(f"unit {unit}: no answer", notes=(*notes, str(fault))))
        if len(silent) == len(units):
            raise DeviceUnreachable("; ".join((*notes, *silent)))
        return bus, listings
    finally:
        await driver.close()


def _other(bus: TcpBus | RtuBus, protocol: str) -> TcpBus | RtuBus:
    """The same place in the other framing."""
    kind: Any = declared(protocol).bus
    found: TcpBus | RtuBus = kind(
        name=bus.name, protocol=protocol, host=bus.host, port=bus.port, timeout_s=bus.timeout_s, device=bus.device
    )
    return found


async def _unit(bus: TcpBus | RtuBus, driver: RegisterReader, unit: int, notes: tuple[str, ...]) -> Listing:
    name = f"unit-{unit}"

    async def read(address: int, count: int) -> bytes:
        return await driver.registers(name, unit, "holding", address, count)

    try:
        chain = await sunspec.walk(read, name)
        common = chain.models.get(sunspec.COMMON)
        who = sunspec.Identity("", "", "", "")
        if common is not None and common.length >= sunspec.IDENTITY_WORDS:
            who = sunspec.identity(await read(common.address + 2, sunspec.IDENTITY_WORDS))
        table = tuple(
            (str(number), _MODELS.get(number, ""), str(placed.address), str(placed.length))
            for number, placed in chain.models.items()
        )
        snippet = toml("bus.device", {"name": identifier(f"{who.maker} {who.model}", name), "unit": unit}, "sunspec")
        title = f"unit {unit}: SunSpec, {who.maker} {who.model} {who.version}, serial number {who.serial}"
        return Listing(title, ("model", "meaning", "address", "registers"), table, notes, snippet)
    except DriverError as fault:
        first = fault
    against = await _against_models(bus, driver, unit)
    guesses = [await _order(driver, name, unit, table_name) for table_name in ("input", "holding")]
    told = (*against, *guesses)
    if isinstance(first, DeviceUnreachable) and not any(answered for answered, _ in told):
        raise first
    notes = (*notes, f"no SunSpec device: {first}", *(text for _, text in told))
    return Listing(f"unit {unit}", notes=notes, device=toml("bus.device", {"name": name, "unit": unit}, ""))


async def _against_models(bus: TcpBus | RtuBus, driver: RegisterReader, unit: int) -> list[tuple[bool, str]]:
    """Where the edge file names the model already: whether the device has answered, and whether its word order is the model's."""
    said = []
    for device in bus.device:
        if device.unit != unit:
            continue
        try:
            model: Any = meter.load(device.model)
        except meter.ModelFault:
            continue
        try:
            told = await detect.word_order(declared(bus.protocol).plan(bus, device, model), driver.read)  # type: ignore[arg-type]
        except DriverError as fault:
            said.append((not isinstance(fault, DeviceUnreachable), f"model {device.model}: {fault}"))
        else:
            said.append((True, f"model {device.model}: {told.text}"))
    return said


async def _order(driver: RegisterReader, name: str, unit: int, table: str) -> tuple[bool, str]:
    """Whether anything was answered, and a guess without any model: where the words that look like the upper half of a float stand, counted from the map's first register."""
    words, refused = dict[int, int](), list[int]()
    for start in range(0, _SPAN, _STEP):
        try:
            words |= await _read(driver, name, unit, table, start, _STEP)
        except DeviceRefused:
            refused.append(start)
        except DriverError:
            break
    if not words:
        return bool(refused), f"{table} registers 0..{_SPAN - 1}: {'all refused' if refused else 'no answer'}"
    if before := [start for start in refused if start < min(words)]:  # where the map begins, to the register
        for address in range(before[-1] + _STEP - 1, before[-1] - 1, -1):
            try:
                words |= await _read(driver, name, unit, table, address, 1)
            except DriverError:
                break
    return True, f"{table} registers {min(words)}..{max(words)}: {word_order(words)}"


async def _read(driver: RegisterReader, name: str, unit: int, table: str, start: int, count: int) -> dict[int, int]:
    raw = await driver.registers(name, unit, table, start, count)
    return {start + at: int.from_bytes(raw[2 * at : 2 * at + 2], "big") for at in range(count)}


def word_order(words: Mapping[int, int]) -> str:
    """What a map's words (by address) say of floats in it, for people.

    Upper halves tell themselves by their exponents, and stand at every second address; whether the lower half follows or stands in front is told
    by the map's beginning, where a whole value must begin.
    """
    upper = [[at for at in words if at % 2 == parity and _is_upper(words[at])] for parity in (0, 1)]
    ours, others = sorted(upper, key=len, reverse=True)
    if len(ours) < _FEWEST or len(ours) < 2 * len(others):
        return "no floats, or too few to tell their word order"
    order = "high" if (min(ours) - min(words)) % 2 == 0 else "low"
    return f"floats with the {order} word first, it seems ({len(ours)} values)"


def _is_upper(word: int) -> bool:
    """Whether a word can be the upper half of a 32-bit float between a thousandth and ten million, the exponents 117 to 150 of IEEE 754."""
    return 117 <= word >> 7 & 0xFF <= 150
