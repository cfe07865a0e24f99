// The gateways' delivery: what arrived, what waits, what is missing. A count that should be zero stands out when it is not.
import { byId, h, put, set } from "./dom.js";
import { ago, day, hm, num, say } from "./words.js";

const COUNTS = ["backlog", "gaps", "held", "refused", "conflicts"];

export function edgeList() {
  const root = byId("edges");
  const drawn = new Map();

  function box(name) {
    const parts = { state: h("span"), contact: h("span", { class: "muted" }), watermark: h("div", { class: "muted" }), control: h("div", { "data-figure": "control" }), counts: {} };
    const cells = COUNTS.map((count) => {
      parts.counts[count] = { name: h("span"), value: h("b", { "data-figure": count }) };
      return h("div", { class: "count" }, parts.counts[count].name, parts.counts[count].value);
    });
    parts.box = h("div", { class: "edge", "data-edge": name }, h("div", { class: "edge-head" }, h("b", {}, name), parts.state, parts.contact), h("div", { class: "counts" }, ...cells), parts.watermark, parts.control);
    return parts;
  }

  // Whether the plan is followed, and what is lost on site.
  function limits(cell, told) {
    const amiss = Object.entries(told?.amiss ?? {}).map(([what, state]) => `${what}: ${say(`control_${state}`)}`);
    put(cell, told ? [say(`control_${told.st}`), ...amiss].join(" · ") : "");
    set(cell, "title", told?.why || null);
    set(cell, "data-value", told?.st ?? null);
    set(cell, "class", amiss.length ? "bad" : "muted");
  }

  return (edges, now) => {
    for (const [name, parts] of drawn) {
      if (edges[name]) continue;
      parts.box.remove();
      drawn.delete(name);
    }
    for (const [name, edge] of Object.entries(edges)) {
      if (!drawn.has(name)) {
        drawn.set(name, box(name));
        root.append(drawn.get(name).box);
      }
      const { state, contact, watermark, control, counts } = drawn.get(name);
      put(state, say(edge.st));
      set(state, "class", `state ${edge.st}`);
      put(contact, edge.ts == null ? "" : ago(now - edge.ts));
      const delivered = edge.watermark == null ? "" : say("batches_through", num(edge.watermark, 0));
      put(watermark, edge.complete == null ? delivered : `${delivered} · ${say("complete_until", `${day(edge.complete)} ${hm(edge.complete)}`)}`);
      limits(control, edge.control);
      for (const count of COUNTS) {
        put(counts[count].name, say(count));
        put(counts[count].value, edge[count] == null ? "–" : num(edge[count], 0));
        set(counts[count].value, "data-value", edge[count]);
        set(counts[count].value, "class", count !== "backlog" && edge[count] ? "bad" : null);
      }
    }
  };
}
