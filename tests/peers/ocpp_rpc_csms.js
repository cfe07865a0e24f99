// A central system made of the npm package `ocpp-rpc` in strict mode: accepts piles, bills their transactions, and tells all it sees as JSON lines.
// Not the system under test: it shares no code with it.
//
//   node ocpp_rpc_csms.js [--password PW] [--cert FILE --key FILE [--ca FILE]] [--refuse TAG] < orders > events
//
// orders: {"refuse": true} turns every new connection away,
//         {"ref": 1, "identity": "CP-1", "method": "RemoteStopTransaction", "params": {...}}, {"drop": "CP-1"}
// events: {"event": "listening", "port"}, "client", "gone", "call" (payload as it came), "answer", "bill", "bad" (what strict mode refuses)
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const readline = require('readline');
const { RPCServer, createRPCError, createValidator } = require('ocpp-rpc');

console.log = console.warn = () => {}; // the schema compiler's remarks; stdout is for events

const options = {};
for (let i = 2; i < process.argv.length; i += 2) options[process.argv[i].replace(/^--/, '')] = process.argv[i + 1];

const tell = (event, told) => process.stdout.write(JSON.stringify({ event, ...told }) + '\n');
const clients = new Map();
let away = false;
const open = new Map(); // transaction id -> where it began
let lastTransaction = 4000;

// In 2.2.1 the schemas of OCPP 2.1 are named "urn:ActionRequest" where the strict mode looks for "urn:Action.req".
const renamed = require('ocpp-rpc/lib/schemas/ocpp2_1.json').map((schema) => ({
  ...schema,
  $id: schema.$id.replace(/Request$/, '.req').replace(/Response$/, '.conf'),
}));

const server = new RPCServer({
  protocols: ['ocpp1.6', 'ocpp2.0.1', 'ocpp2.1'],
  strictMode: true,
  strictModeValidators: [createValidator('ocpp2.1', renamed)],
  callTimeoutMs: 20000,
});

server.auth((accept, reject, handshake) => {
  if (away) return reject(503, 'away');
  const password = handshake.password ? handshake.password.toString('utf8') : null;
  if (options.password && password !== options.password) return reject(401, 'wrong password');
  accept({});
});

const now = () => new Date().toISOString();
const verdict = (tag) => ({ status: tag === options.refuse ? 'Invalid' : 'Accepted' });

// The last energy register of a list of meter values, in Wh; unit and multiplier as the standard has them.
function energyOf(meterValues, context) {
  let found = null;
  for (const meterValue of meterValues || []) {
    for (const value of meterValue.sampledValue) {
      const measurand = value.measurand || 'Energy.Active.Import.Register';
      if (measurand !== 'Energy.Active.Import.Register' || value.format === 'SignedData') continue;
      if (context && value.context !== context) continue;
      const unit = value.unit || (value.unitOfMeasure && value.unitOfMeasure.unit) || 'Wh';
      const multiplier = (value.unitOfMeasure && value.unitOfMeasure.multiplier) || 0;
      found = Math.round(Number(value.value) * 10 ** multiplier * (unit === 'kWh' ? 1000 : 1));
    }
  }
  return found;
}

function bill16(identity, params) {
  const begun = open.get(params.transactionId);
  open.delete(params.transactionId);
  const wh = begun ? params.meterStop - begun.wh : null;
  tell('bill', { identity, transactionId: params.transactionId, wh, reason: params.reason, data: params.transactionData || [] });
}

function transactionEvent(identity, params) {
  const id = params.transactionInfo.transactionId;
  if (params.eventType === 'Started') open.set(id, { wh: energyOf(params.meterValue, 'Transaction.Begin') });
  if (params.eventType === 'Ended') {
    const begun = open.get(id);
    open.delete(id);
    const end = energyOf(params.meterValue, 'Transaction.End');
    const wh = begun && begun.wh !== null && end !== null ? end - begun.wh : null;
    tell('bill', { identity, transactionId: id, wh, reason: params.transactionInfo.stoppedReason, data: params.meterValue || [] });
  }
  return params.idToken ? { idTokenInfo: verdict(params.idToken.idToken) } : {};
}

const answers = {
  BootNotification: () => ({ status: 'Accepted', interval: 300, currentTime: now() }),
  Heartbeat: () => ({ currentTime: now() }),
  Authorize: (identity, params) =>
    params.idTag ? { idTagInfo: verdict(params.idTag) } : { idTokenInfo: verdict(params.idToken.idToken) },
  StartTransaction: (identity, params) => {
    lastTransaction += 1;
    open.set(lastTransaction, { wh: params.meterStart });
    return { transactionId: lastTransaction, idTagInfo: verdict(params.idTag) };
  },
  StopTransaction: (identity, params) => {
    bill16(identity, params);
    return {};
  },
  TransactionEvent: transactionEvent,
  NotifyEVChargingNeeds: () => ({ status: 'Accepted' }),
  DataTransfer: () => ({ status: 'UnknownVendorId' }),
};

server.on('client', (client) => {
  const { identity } = client;
  clients.set(identity, client);
  tell('client', { identity, protocol: client.protocol });
  client.on('call', ({ outbound, payload }) => {
    if (!outbound) tell('call', { identity, payload });
  });
  client.on('response', ({ outbound, payload }) => {
    if (!outbound) tell('result', { identity, payload });
  });
  client.on('badMessage', ({ buffer, error }) => tell('bad', { identity, text: String(buffer).slice(0, 500), error: String(error) }));
  client.on('strictValidationFailure', ({ method, params, error, outbound }) =>
    tell('bad', { identity, method, params, outbound, error: String(error), details: error && error.details }));
  client.on('close', () => {
    if (clients.get(identity) === client) clients.delete(identity);
    tell('gone', { identity });
  });
  client.handle(({ method, params }) => {
    if (method in answers) return answers[method](identity, params);
    if (/Notification$|^MeterValues$|^Notify|^Report/.test(method)) return {};
    throw createRPCError('NotImplemented');
  });
});

async function order(line) {
  const { ref, identity, method, params, drop, refuse } = JSON.parse(line);
  if (refuse !== undefined) {
    away = refuse;
    return;
  }
  if (drop) return clients.get(drop) && clients.get(drop).close({ code: 1001, reason: 'dropped', force: true });
  try {
    const client = clients.get(identity);
    if (!client) throw new Error(`no pile ${identity}`);
    tell('answer', { ref, result: await client.call(method, params) });
  } catch (error) {
    tell('answer', { ref, error: String(error), code: error.rpcErrorCode });
  }
}

const secure = options.cert && {
  cert: fs.readFileSync(options.cert),
  key: fs.readFileSync(options.key),
  ...(options.ca ? { ca: fs.readFileSync(options.ca), requestCert: true, rejectUnauthorized: true } : {}),
};
const front = secure ? https.createServer(secure) : http.createServer();
front.on('upgrade', server.handleUpgrade);
front.listen(Number(options.port || 0), '127.0.0.1', () => tell('listening', { port: front.address().port }));
const orders = readline.createInterface({ input: process.stdin });
orders.on('line', order);
orders.on('close', () => process.exit(0)); // who started this has gone
