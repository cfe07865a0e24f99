// The power flow: up to five nodes round a bus. Direction is told by arrow and word, size by the width of the pipe.
import { put, s, set } from "./dom.js";
import { num, say } from "./words.js";

const BUS = [210, 150];
const NODES = {
  pv: { at: [210, 40], text: [40, -13, "start"] },
  grid: { at: [62, 150], text: [0, 43, "middle"] },
  load: { at: [358, 150], text: [0, 43, "middle"] },
  sto: { at: [150, 268], text: [-38, -14, "end"] },
  ev: { at: [270, 268], text: [38, -14, "start"] },
};
const ICONS = {
  pv: "M-9 5H9L6-6H-6zM-7.500-.5h15M0-6V5M0 5v4M-4 9h8",
  grid: "M-6 10 0-11 6 10M-8-4H8M-9.500 1.500h19M-3.500 1.500 4.800 6M3.500 1.500-4.800 6",
  load: "M-10 9V-1l6 4v-4l6 4V-8h6V9z",
  sto: "M-10-5H8V6h-18zM8-2h2.500v5H8M-6-1.500v4M-2-1.500v4M2-1.500v4",
  ev: "M-8 10V-8h9V10M-10 10H3M-5.500-5h4v4h-4zM1 0h3v6a2 2 0 0 0 4 0V-3L5-6",
};
const IDLE_KW = 0.5;

// The word for what a part does; load sign: + takes power, and the grid gives it.
export function doing(part, kw) {
  if (kw == null) return "no_value";
  if (part === "load") return "using";
  if (Math.abs(kw) < IDLE_KW) return "idle";
  if (part === "grid") return kw > 0 ? "import" : "export";
  if (part === "pv") return kw < 0 ? "generating" : "using";
  return kw > 0 ? "charging" : "discharging";
}

// The arrow that stands beside the word: → into the plant, ← out of it or into a device.
export function arrow(part, kw) {
  if (kw == null || Math.abs(kw) < IDLE_KW) return "";
  return (part === "grid" ? kw > 0 : kw < 0) ? "→" : "←";
}

export function flowDrawing(root) {
  const svg = s("svg", { viewBox: "0 0 420 306", role: "img", class: "flowdrawing" });
  const drawn = {};
  for (const [part, { at }] of Object.entries(NODES)) {
    const length = Math.hypot(BUS[0] - at[0], BUS[1] - at[1]);
    const [ux, uy] = [(BUS[0] - at[0]) / length, (BUS[1] - at[1]) / length];
    const outer = [at[0] + ux * 30, at[1] + uy * 30];
    const inner = [BUS[0] - ux * 15, BUS[1] - uy * 15];
    const pipe = s("line", { x1: outer[0], y1: outer[1], x2: inner[0], y2: inner[1], class: "pipe" });
    const head = s("path", { class: "arrow", d: "M-5-5.500 6 0-5 5.500z" });
    drawn[part] = { outer, inner, pipe, head, group: s("g", { class: `part-${part}`, "data-part": part }, pipe, head) };
    svg.append(drawn[part].group);
  }
  svg.append(s("circle", { cx: BUS[0], cy: BUS[1], r: 15, class: "bus" }));
  for (const [part, { at, text }] of Object.entries(NODES)) {
    const line = (dy, kind) => s("text", { x: text[0], y: text[1] + dy, "text-anchor": text[2], class: kind });
    Object.assign(drawn[part], { name: line(0, "name"), value: line(19, "value"), word: line(34, "word") });
    const node = s("g", { transform: `translate(${at[0]} ${at[1]})` }, s("circle", { r: 27, class: "node" }), s("path", { d: ICONS[part], class: "icon" }), drawn[part].name, drawn[part].value, drawn[part].word);
    drawn[part].group.append(node);
  }
  root.append(svg);

  return (flow, parts, soc) => {
    const largest = Math.max(1, ...parts.map((part) => Math.abs(flow[part] ?? 0)));
    for (const [part, { outer, inner, pipe, head, group, name, value, word }] of Object.entries(drawn)) {
      const kw = flow[part];
      const here = parts.includes(part);
      group.classList.toggle("absent", !here);
      if (!here) continue;
      const inward = part === "grid" ? (kw ?? 0) >= 0 : (kw ?? 0) < 0;
      const [from, to] = inward ? [outer, inner] : [inner, outer];
      const share = Math.abs(kw ?? 0) / largest;
      const still = kw == null || Math.abs(kw) < IDLE_KW;
      const angle = (Math.atan2(to[1] - from[1], to[0] - from[0]) * 180) / Math.PI;
      set(pipe, "stroke-width", (1.5 + 8 * share).toFixed(1));
      set(pipe, "stroke-dasharray", still ? "2 4" : null);
      set(head, "transform", `translate(${((from[0] + to[0]) / 2).toFixed(1)} ${((from[1] + to[1]) / 2).toFixed(1)}) rotate(${angle.toFixed(1)}) scale(${still ? 0 : (1 + 0.8 * share).toFixed(2)})`);
      put(name, say(part));
      put(value, kw == null ? "–" : `${num(Math.abs(kw))} kW`);
      put(word, part === "sto" && soc != null ? `${say(doing(part, kw))} · ${num(soc, 0)} %` : say(doing(part, kw)));
    }
    set(svg, "aria-label", parts.map((part) => `${say(part)} ${flow[part] == null ? say("no_value") : `${num(Math.abs(flow[part]))} kW ${say(doing(part, flow[part]))}`}`).join(", "));
  };
}
