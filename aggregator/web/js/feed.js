// Keeps the state of one facility from its live feed, through a SharedWorker where there is one. Judges staleness by its own clock.
import { apply } from "./merge.js";

export const LOST_AFTER_S = 4;
const POLL_AFTER_S = 10; // some proxies hold streams back: then the snapshot is fetched instead
const POLL_EVERY_S = 2;
const seconds = () => performance.now() / 1000;

export function follow(facility, on) {
  const url = `/api/v1/facilities/${encodeURIComponent(facility)}/live`;
  let state = null;
  let frameAt = seconds();
  let streamAt = seconds();
  let pollAt = 0;
  let told = "";

  const take = (type, body) => {
    if (type === "bye") return;
    frameAt = seconds();
    state = apply(state, type, body);
    if (state) on.state(state, type);
    check();
  };
  const stream = (type, body) => {
    streamAt = seconds();
    take(type, body);
  };
  const check = () => {
    const age = Math.floor(seconds() - frameAt);
    const word = age >= LOST_AFTER_S ? "lost" : state ? "live" : "wait";
    const key = word === "lost" ? word + age : word;
    if (key !== told) {
      told = key;
      on.feed(word, age);
    }
    if (!document.hidden && seconds() - streamAt > POLL_AFTER_S && seconds() - pollAt > POLL_EVERY_S) poll();
  };
  const poll = async () => {
    pollAt = seconds();
    try {
      const answer = await fetch(`${url}/snapshot`, { cache: "no-store" });
      if (answer.ok) take("snapshot", await answer.json());
    } catch {
      // Still lost: the banner says so already.
    }
  };
  setInterval(check, 500);
  (globalThis.SharedWorker ? throughWorker : directly)(url, stream);
}

function throughWorker(url, take) {
  const worker = new SharedWorker("/static/js/feed.worker.js", { name: "feed", type: "module" });
  worker.port.onmessage = ({ data: { type, body } }) => take(type, body);
  const tell = () => worker.port.postMessage({ url, visible: !document.hidden });
  document.addEventListener("visibilitychange", tell);
  addEventListener("pageshow", tell);
  addEventListener("pagehide", () => worker.port.postMessage({ url, bye: true }));
  tell();
}

function directly(url, take) {
  let source = null;
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(url);
    for (const type of ["snapshot", "delta", "alarm", "bye"]) source.addEventListener(type, (event) => take(type, JSON.parse(event.data)));
    source.onerror = () => {
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      setTimeout(open, 2000);
    };
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}
