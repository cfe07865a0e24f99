// An OPC UA server made of the npm package `node-opcua-server`: one machine, driven line by line. Not the system under test: it shares no code with it.
//
//   node node_opcua_server.js < orders > events
//
// orders: {"ref": 1, "set": "Power", "value": 1.5, "status": "Good"}     {"ref": 2, "get": "Limit"}
// events: {"event": "listening", "port"}, {"ref": 1, ...}
'use strict';
const readline = require('readline');
const { OPCUAServer } = require('node-opcua-server');
const { Variant, DataType } = require('node-opcua-variant');
const { StatusCodes } = require('node-opcua-status-code');

const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n');
console.log = console.warn = console.error = () => {}; // stdout is for events

(async () => {
  const server = new OPCUAServer({ port: 0, host: '127.0.0.1', hostname: '127.0.0.1', allowAnonymous: true });
  await server.initialize();
  const space = server.engine.addressSpace;
  const namespace = space.registerNamespace('urn:peer:line');
  const machine = namespace.addObject({ organizedBy: space.rootFolder.objects, browseName: 'Press1', nodeId: 's=Press1' });
  const nodes = {};
  const types = { Power: DataType.Float, Energy: DataType.UInt32, Limit: DataType.Double, Volts: DataType.Double };
  for (const [name, dataType] of Object.entries(types)) {
    const variable = namespace.addVariable({
      componentOf: machine, browseName: name, nodeId: `s=Press1.${name}`, dataType,
      accessLevel: name === 'Limit' ? 'CurrentRead | CurrentWrite' : 'CurrentRead',
    });
    variable.setValueFromSource(new Variant({ dataType, value: 0 }));
    nodes[name] = [variable, dataType];
  }
  await server.start();
  const url = server.getEndpointUrl();
  tell({ event: 'listening', port: Number(new URL(url.replace('opc.tcp', 'http')).port) });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    const [variable, dataType] = nodes[order.set || order.get];
    if (order.set) variable.setValueFromSource(new Variant({ dataType, value: order.value }), StatusCodes[order.status || 'Good']);
    tell({ ref: order.ref, value: variable.readValue().value.value });
  }
  await server.shutdown(0);
  process.exit(0);
})().catch((error) => { tell({ event: 'failed', why: String(error) }); process.exit(1); });
