"""The Modbus TCP driver at a device that none of us wrote and that shares no code with its library: a server of the npm package modbus-serial."""

import pytest
from npm_package import script

from edge_agent.drivers.driver import DeviceRefused, Gateway
from edge_agent.drivers.modbus.declared import ModbusPlan
from edge_agent.drivers.modbus.registers import Field
from edge_agent.drivers.modbus.tcp import Endpoint, ModbusTcp

FIELDS = (
    Field("voltage_l1_v", "holding", 100, "float32"),
    Field("energy_import_kwh", "holding", 102, "uint32", exponent=-3),
)


async def test_a_server_of_modbus_serial_is_read_and_believed_where_it_refuses() -> None:
    async with script("node_modbus_server.js", "modbus-serial") as said:
        driver = ModbusTcp(Endpoint("127.0.0.1", said["port"], timeout_s=5.0), Gateway(lambda: 1000))
        try:
            (block,) = (await driver.read(ModbusPlan("meter", 1, FIELDS))).blocks
            assert {q: block.columns[i][0] for i, q in enumerate(block.shape.quantities)} == {
                "voltage_l1_v": 230.5,
                "energy_import_kwh": 123_456,
            }
            with pytest.raises(DeviceRefused, match="exception 2"):
                await driver.read(ModbusPlan("nobody", 2, FIELDS))
            (again,) = (await driver.read(ModbusPlan("meter", 1, FIELDS))).blocks
            assert again.columns == block.columns
        finally:
            await driver.close()
