// A BACnet client made of the npm package node-bacnet. Arguments: address of a device, its instance. Finds, reads, writes and listens; prints one JSON.
'use strict';
const Bacnet = require('node-bacnet');
const { PropertyIdentifier: P, ApplicationTag: T } = Bacnet.enum;

const [address, instance] = [process.argv[2], Number(process.argv[3])];
const at = { address };
const client = new Bacnet({ port: Number(process.argv[4]), interface: '127.0.0.1', apduTimeout: 2000 });
const told = {};
const ask = (name, ...args) => new Promise((done, failed) =>
  client[name](...args, (error, answer) => (error ? failed(error) : done(answer))));
const object = (type, number) => ({ type, instance: number });

async function run() {
  const found = new Promise((done) => client.once('iAm', ({ payload }) => done(payload)));
  client.whoIs(at, { lowLimit: instance, highLimit: instance });
  told.iAm = (await found).deviceId;
  told.name = (await ask('readProperty', at, object(8, instance), P.OBJECT_NAME, {})).values[0].value;
  const wanted = [[0, 1], [0, 5], [2, 1]].map(([type, number]) => ({
    objectId: object(type, number), properties: [{ id: P.PRESENT_VALUE }, { id: P.UNITS }, { id: P.STATUS_FLAGS }] }));
  told.read = (await ask('readPropertyMultiple', at, wanted, {})).values.map(({ objectId, values }) =>
    [objectId.type, objectId.instance, values[0].value[0].value, values[1].value[0].value]);
  const changed = new Promise((done) => client.on('covNotifyUnconfirmed', ({ payload }) => {
    const value = payload.values.find((one) => one.property.id === P.PRESENT_VALUE).value[0].value;
    if (value === 21.5) done(value);
  }));
  await ask('subscribeCov', at, object(2, 1), 7, false, false, 60, {});
  await ask('writeProperty', at, object(2, 1), P.PRESENT_VALUE, [{ type: T.REAL, value: 21.5 }], { priority: 8 });
  told.changed = await changed;
  told.slots = (await ask('readProperty', at, object(2, 1), P.PRIORITY_ARRAY, {})).values.map((slot) => slot.value ?? null);
  await ask('writeProperty', at, object(2, 1), P.PRESENT_VALUE, [{ type: T.NULL, value: null }], { priority: 8 });
  told.after = (await ask('readProperty', at, object(2, 1), P.PRESENT_VALUE, {})).values[0].value;
  try {
    await ask('readProperty', at, object(0, 999), P.PRESENT_VALUE, {});
  } catch (error) {
    told.refused = error.message;
  }
}

client.on('listening', () => run().then(() => {
  console.log(JSON.stringify(told));
  client.close();
  process.exit(0);
}).catch((error) => { console.error(error, JSON.stringify(told)); process.exit(1); }));
