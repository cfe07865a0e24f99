// One EventSource per facility for all windows of this browser: HTTP/1.1 allows six connections to a host.
import { apply } from "./merge.js";

const feeds = new Map(); // url -> { source, state, ports: Map(port -> visible) }

function tell(feed, message) {
  for (const [port, visible] of feed.ports) if (visible) port.postMessage(message);
}

function open(feed, url) {
  feed.source = new EventSource(url);
  for (const type of ["snapshot", "delta", "alarm"]) {
    feed.source.addEventListener(type, (event) => {
      const body = JSON.parse(event.data);
      feed.state = apply(feed.state, type, body);
      feed.at = performance.now();
      tell(feed, { type, body });
    });
  }
  feed.source.addEventListener("bye", (event) => tell(feed, { type: "bye", body: JSON.parse(event.data) }));
  feed.source.onerror = () => {
    if (feed.source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    feed.source = null;
    setTimeout(() => sync(feed, url), 2000);
  };
}

function sync(feed, url) {
  const wanted = [...feed.ports.values()].some(Boolean);
  if (wanted && !feed.source) open(feed, url);
  if (!wanted && feed.source) {
    feed.source.close();
    feed.source = null;
    feed.state = null;
  }
}

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data: { url, visible, bye } }) => {
    if (!feeds.has(url)) feeds.set(url, { source: null, state: null, at: 0, ports: new Map() });
    const feed = feeds.get(url);
    const was = feed.ports.get(port);
    if (bye) feed.ports.delete(port);
    else feed.ports.set(port, visible);
    // A window that joins a running stream gets what the others have, unless that is old.
    if (visible && !was && feed.state && performance.now() - feed.at < 4000) port.postMessage({ type: "snapshot", body: feed.state });
    sync(feed, url);
  };
};
