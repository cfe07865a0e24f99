// A Modbus TCP device made of the npm package modbus-serial: unit 1 shows two numbers, unit 2 has no such registers, all others are silent.
// It prints {"port": ...} and takes writes to register 500.
const { ServerTCP } = require("modbus-serial");

const held = new Map();
const words = (value) => {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatBE(value);
  return [buffer.readUInt16BE(0), buffer.readUInt16BE(2)];
};
[...words(230.5), 0x0001, 0xe240].forEach((word, index) => held.set(100 + index, word)); // 230.5 V, 123456 Wh

const read = (address, unit) => {
  if (unit !== 1 || !held.has(address)) throw { modbusErrorCode: 0x02, msg: "no such register" };
  return held.get(address);
};
const server = new ServerTCP(
  {
    getHoldingRegister: read,
    setRegister: (address, value) => {
      if (address !== 500) throw { modbusErrorCode: 0x02, msg: "not writable" };
      held.set(address, value);
    },
  },
  { host: "127.0.0.1", port: 0, unitID: 255 },
);
server.on("initialized", () => console.log(JSON.stringify({ port: server._server.address().port })));
server.on("socketError", (error) => console.error(error.message));
