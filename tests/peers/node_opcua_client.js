// An OPC UA client made of the npm package `node-opcua-client`: subscribes to variables and tells each change. It shares no code with the system under test.
//
//   node node_opcua_client.js URL NAMESPACE NODE [NODE...] > events
//
// events: {"event": "value", "node", "value", "status", "source_ms"}
'use strict';
const {
  OPCUAClient, ClientSubscription, ClientMonitoredItem, AttributeIds, TimestampsToReturn, MessageSecurityMode, SecurityPolicy,
} = require('node-opcua-client');

const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n');
console.log = console.warn = console.error = () => {};

(async () => {
  const [url, namespace, ...names] = process.argv.slice(2);
  const client = OPCUAClient.create({
    endpointMustExist: false, securityMode: MessageSecurityMode.None, securityPolicy: SecurityPolicy.None,
    connectionStrategy: { maxRetry: 3, initialDelay: 100, maxDelay: 500 },
  });
  await client.connect(url);
  const session = await client.createSession();
  const index = (await session.readNamespaceArray()).indexOf(namespace);
  const subscription = ClientSubscription.create(session, {
    requestedPublishingInterval: 50, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10, publishingEnabled: true,
  });
  for (const name of names) {
    const item = ClientMonitoredItem.create(
      subscription, { nodeId: `ns=${index};s=${name}`, attributeId: AttributeIds.Value },
      { samplingInterval: 50, discardOldest: true, queueSize: 100 }, TimestampsToReturn.Both,
    );
    item.on('changed', (data) => tell({
      event: 'value', node: name, value: data.value.value, status: data.statusCode.name,
      source_ms: data.sourceTimestamp && data.sourceTimestamp.getTime(),
    }));
  }
  process.stdin.on('end', () => process.exit(0));
  process.stdin.resume();
})().catch((error) => { tell({ event: 'failed', why: String(error) }); process.exit(1); });
