// A BACnet device made of the npm package node-bacnet: one meter that answers ReadProperty, WriteProperty and Who-Is, and nothing else.
// Arguments: port, instance. Prints {"listening": true}, then a line per write.
'use strict';
const Bacnet = require('node-bacnet');
const { PropertyIdentifier: P, ApplicationTag: T, ErrorClass, ErrorCode, Segmentation, ConfirmedServiceChoice } = Bacnet.enum;

const [port, instance] = process.argv.slice(2).map(Number);
const held = Array(16).fill(null);
const present = () => held.find((slot) => slot !== null) ?? 18.5;
const services = { value: [0, 0, 0, 0, 0], bitsUsed: 40 }; // neither ReadPropertyMultiple nor SubscribeCOV
const status = { value: [0], bitsUsed: 4 };
const objects = {
  [`8,${instance}`]: {
    [P.OBJECT_NAME]: [{ type: T.CHARACTER_STRING, value: 'node-bacnet device' }],
    [P.MAX_APDU_LENGTH_ACCEPTED]: [{ type: T.UNSIGNED_INTEGER, value: 480 }],
    [P.SYSTEM_STATUS]: [{ type: T.ENUMERATED, value: 0 }],
    [P.PROTOCOL_SERVICES_SUPPORTED]: [{ type: T.BIT_STRING, value: services }],
  },
  '0,1': {
    [P.OBJECT_NAME]: [{ type: T.CHARACTER_STRING, value: 'Active Power' }],
    [P.PRESENT_VALUE]: [{ type: T.REAL, value: 1234.5 }],
    [P.UNITS]: [{ type: T.ENUMERATED, value: 47 }],
    [P.STATUS_FLAGS]: [{ type: T.BIT_STRING, value: status }],
  },
  '2,1': {
    [P.OBJECT_NAME]: [{ type: T.CHARACTER_STRING, value: 'Set-point' }],
    [P.UNITS]: [{ type: T.ENUMERATED, value: 62 }],
    [P.STATUS_FLAGS]: [{ type: T.BIT_STRING, value: status }],
    get [P.PRESENT_VALUE]() { return [{ type: T.REAL, value: present() }]; },
    get [P.PRIORITY_ARRAY]() {
      return held.map((slot) => (slot === null ? { type: T.NULL, value: null } : { type: T.REAL, value: slot }));
    },
  },
};

const device = new Bacnet({ port, interface: '127.0.0.1' });
device.on('error', (error) => console.error(error));
device.on('whoIs', ({ header }) => device.iAmResponse(header.sender, instance, Segmentation.NO_SEGMENTATION, 999));
device.on('readProperty', ({ header, invokeId, payload }) => {
  const { objectId, property } = payload;
  const object = objects[`${objectId.type},${objectId.instance}`];
  const value = object?.[property.id];
  if (value) device.readPropertyResponse(header.sender, invokeId, objectId, property, value);
  else device.errorResponse(header.sender, ConfirmedServiceChoice.READ_PROPERTY, invokeId,
    object ? ErrorClass.PROPERTY : ErrorClass.OBJECT, object ? ErrorCode.UNKNOWN_PROPERTY : ErrorCode.UNKNOWN_OBJECT);
});
device.on('writeProperty', ({ header, invokeId, payload, service }) => {
  const { priority, value } = payload.value;
  held[(priority >= 1 && priority <= 16 ? priority : 16) - 1] = value[0].type === T.NULL ? null : value[0].value;
  device.simpleAckResponse(header.sender, service, invokeId);
  console.log(JSON.stringify({ priority, value: value[0].value ?? null }));
});
device.on('listening', () => console.log(JSON.stringify({ listening: true })));
