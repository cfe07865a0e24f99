// The table of devices: state, power, age, quality; what needs attention stands first until the operator sorts otherwise.
import { byId, h, put, set } from "./dom.js";
import { ago, say, signed } from "./words.js";

const COLUMNS = ["device", "part", "protocol", "edge", "state", "power", "age", "quality"];
const NUMBERS = ["power", "age"];
const SIGNS = { g: "", u: "?", b: "✕", s: "≈", e: "≈" };
const STATES = ["offline", "late", "online"];

const PROTOCOLS = { modbus_tcp: "Modbus TCP", modbus_rtu: "Modbus RTU", sunspec: "SunSpec", bacnet: "BACnet/IP", dlt645: "DL/T 645", mbus: "M-Bus", opcua: "OPC UA", ocpp: "OCPP" };

const trouble = ({ st, q }) => (st === "offline" ? 0 : q === "b" ? 1 : st === "late" ? 2 : q && q !== "g" ? 3 : 4);

export function deviceTable() {
  const table = byId("devices");
  const search = byId("find");
  const rows = new Map();
  let entries = []; // [{ id, st, p, ts, q, edge, device, ... }]
  let now = 0;
  let onlyTrouble = false;
  let wanted = "";
  let sort = ["trouble", 1];

  const part = (entry) => (entry.role === "main" ? say("role_main") : entry.show ? say({ storage: "sto" }[entry.show] ?? entry.show) : entry.role ? say(`role_${entry.role}`) : "");
  const keys = {
    trouble,
    device: (e) => e.device,
    part,
    protocol: (e) => e.protocol ?? "",
    edge: (e) => e.edge,
    state: (e) => STATES.indexOf(e.st),
    power: (e) => e.p ?? -Infinity,
    age: (e) => now - (e.ts ?? -Infinity),
    quality: trouble,
  };

  function row(id) {
    const sign = h("i", { "aria-hidden": "true" });
    const word = h("span");
    const cells = { device: h("th", { scope: "row" }) };
    for (const column of COLUMNS.slice(1, -1)) cells[column] = h("td", { class: NUMBERS.includes(column) ? "number" : null, "data-column": column });
    cells.quality = h("td", { "data-column": "quality" }, sign, word);
    return { cells, sign, word, line: h("tr", { "data-device": id }, ...COLUMNS.map((column) => cells[column])) };
  }

  function write(entry) {
    if (!rows.has(entry.id)) rows.set(entry.id, row(entry.id));
    const { cells, sign, word, line } = rows.get(entry.id);
    const gone = entry.st === "offline";
    const quality = entry.q ?? "b";
    set(line, "data-state", entry.st);
    put(cells.device, entry.device);
    put(cells.part, part(entry));
    put(cells.protocol, PROTOCOLS[entry.protocol] ?? (entry.protocol || "–"));
    put(cells.edge, entry.edge);
    put(cells.state, say(entry.st));
    set(cells.state, "class", `state ${entry.st}`);
    put(cells.power, gone ? "–" : signed(entry.p));
    put(cells.age, entry.ts == null ? say("never") : ago(now - entry.ts));
    set(cells.age, "class", entry.st === "online" ? "number" : "number old");
    put(sign, gone ? "" : (SIGNS[quality] ?? ""));
    put(word, gone ? "–" : say(`q_${quality}`));
    set(cells.quality, "class", gone ? "quality" : `quality q-${quality}`);
  }

  function order() {
    const key = keys[sort[0]];
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      return (x < y ? -1 : x > y ? 1 : a.place - b.place) * (x === y ? 1 : sort[1]);
    };
    const text = (entry) => `${entry.device} ${entry.protocol ?? ""} ${entry.edge}`.toLowerCase();
    const shown = entries.filter((entry) => (!onlyTrouble || trouble(entry) < 4) && (!wanted || text(entry).includes(wanted))).sort(compare);
    const lines = shown.map((entry) => rows.get(entry.id).line);
    const body = table.tBodies[0];
    if (lines.length !== body.rows.length || lines.some((line, at) => body.rows[at] !== line)) body.replaceChildren(...lines);
  }

  function heads() {
    const by = (column) => {
      sort = sort[0] === column ? [column, -sort[1]] : [column, 1];
      heads();
      order();
    };
    const direction = (column) => (sort[0] !== column ? "none" : sort[1] > 0 ? "ascending" : "descending");
    const head = (column) => h("th", { scope: "col", "aria-sort": direction(column), class: NUMBERS.includes(column) ? "number" : null, "data-column": column }, h("button", { type: "button", onclick: () => by(column) }, say(column), h("i", { "aria-hidden": "true" }, { none: "", ascending: " ▲", descending: " ▼" }[direction(column)])));
    table.tHead.replaceChildren(h("tr", {}, ...COLUMNS.map(head)));
    search.placeholder = say("find");
    search.setAttribute("aria-label", say("find"));
  }

  const buttons = [false, true].map((only) =>
    h("button", {
      type: "button",
      onclick: () => {
        onlyTrouble = only;
        counts();
        order();
      },
    }),
  );
  byId("filters").append(...buttons);
  function counts() {
    put(buttons[0], say("all", entries.length));
    put(buttons[1], say("problems", entries.filter((entry) => trouble(entry) < 4).length));
    buttons.forEach((button, at) => set(button, "aria-pressed", String(onlyTrouble === (at === 1))));
    put(byId("reporting"), say("reporting", entries.filter((entry) => entry.st !== "offline").length, entries.length));
  }
  search.addEventListener("input", () => {
    wanted = search.value.trim().toLowerCase();
    order();
  });

  return {
    heads,
    show(frame) {
      now = frame.t;
      entries = Object.entries(frame.d).map(([id, entry], place) => ({ id, place, edge: "", device: id, ...frame.meta.devices[id], ...entry }));
      for (const id of [...rows.keys()]) if (!frame.d[id]) rows.delete(id);
      entries.forEach(write);
      counts();
      order();
    },
  };
}
