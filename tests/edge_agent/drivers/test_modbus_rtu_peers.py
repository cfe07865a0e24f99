"""The Modbus RTU driver against servers that we did not write: pymodbus on a serial line of socat's, and RTU over TCP."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_agent.drivers.driver import DeviceRefused, Gateway
from edge_agent.drivers.modbus.rtu import RtuLink
from edge_agent.drivers.serial_line import Line, Wiring


def devices() -> list[SimDevice]:
    """Units 1 and 2, registers 0 to 199, each the unit's hundred thousands' worth apart."""
    return [
        SimDevice(
            id=unit, simdata=[SimData(0, values=[1000 * unit + at for at in range(200)], datatype=DataType.REGISTERS)]
        )
        for unit in (1, 2)
    ]


@asynccontextmanager
async def pair(directory: Path) -> AsyncIterator[tuple[Path, Path]]:
    """Two serial ports that are wired to each other."""
    if shutil.which("socat") is None:
        pytest.skip("socat is not installed")
    ends = directory / "ours", directory / "theirs"
    process = await asyncio.create_subprocess_exec("socat", *(f"pty,raw,echo=0,link={end}" for end in ends))
    try:
        deadline = asyncio.get_running_loop().time() + 10
        while not all(end.exists() for end in ends):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)
        yield ends
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def serial_server(directory: Path) -> AsyncIterator[Wiring]:
    async with pair(directory) as (ours, theirs):
        server = ModbusSerialServer(devices(), port=str(theirs), baudrate=19200)
        await server.serve_forever(background=True)
        try:
            yield Wiring(serial=str(ours), baud=19200)
        finally:
            await server.shutdown()


@asynccontextmanager
async def tcp_server(_: Path) -> AsyncIterator[Wiring]:
    server = ModbusTcpServer(devices(), framer=FramerType.RTU, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        transport: Any = server.transport
        yield Wiring(host="127.0.0.1", port=transport.sockets[0].getsockname()[1])
    finally:
        await server.shutdown()


@pytest.mark.parametrize("server", [serial_server, tcp_server])
async def test_pymodbus_is_read_written_and_believed_where_it_refuses(tmp_path: Path, server: Any) -> None:
    async with server(tmp_path) as wiring:
        link = RtuLink(Line(wiring), Gateway(lambda: 0), 1.0)
        try:
            for unit in (1, 2):
                words = await link.registers("meter", unit, "holding", 60, 125)
                assert words == b"".join((1000 * unit + at).to_bytes(2, "big") for at in range(60, 185))
            await link.write("meter", 2, 5, bytes.fromhex("0007"))
            await link.write("meter", 2, 6, bytes.fromhex("0008 0009"))
            assert await link.registers("meter", 2, "holding", 5, 3) == bytes.fromhex("0007 0008 0009")
            with pytest.raises(DeviceRefused, match=r"illegal data address"):
                await link.registers("meter", 1, "holding", 500, 2)
            assert await link.registers("meter", 1, "holding", 0, 1) == (1000).to_bytes(2, "big")
        finally:
            link.close()
