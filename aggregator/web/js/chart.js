// A time chart in SVG: lines, gaps left open, end labels, cursor by pointer and keyboard, zoom by dragging. Not a general chart library.
import { h, put, s, set } from "./dom.js";
import { hm, hms, num, say, signed } from "./words.js";

const MARGIN = { left: 46, right: 96, top: 8, bottom: 22 };
const TICKS_S = [1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
const LABEL_HEIGHT = 27;
const SHORTEST_MS = 60000;

export function niceTicks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((nice) => raw <= nice * power * 1.0001) * power;
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) ticks.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  return ticks;
}

// At most two points (lowest and highest) per pixel column, so that no spike is lost; null where the line breaks.
export function decimate(times, values, first, last, x) {
  const kept = [];
  let column = null;
  let low = 0;
  let high = 0;
  const flush = () => {
    if (column === null) return;
    kept.push(Math.min(low, high));
    if (low !== high) kept.push(Math.max(low, high));
    column = null;
  };
  for (let i = first; i <= last; i++) {
    if (values[i] == null) {
      flush();
      if (kept.length && kept[kept.length - 1] !== null) kept.push(null);
      continue;
    }
    const at = Math.round(x(times[i]));
    if (at !== column) {
      flush();
      column = at;
      low = high = i;
    } else {
      if (values[i] < values[low]) low = i;
      if (values[i] > values[high]) high = i;
    }
  }
  flush();
  return kept;
}

// Spans [from, to] of the time axis in which none of the series has a value.
export function gaps(times, columns, first, last) {
  const spans = [];
  let from = null;
  for (let i = first; i <= last; i++) {
    const empty = columns.every((values) => values[i] == null);
    if (empty && from === null) from = times[Math.max(first, i - 1)];
    if (!empty && from !== null) {
      spans.push([from, times[i]]);
      from = null;
    }
  }
  if (from !== null && times[last] > from) spans.push([from, times[last]]);
  return spans;
}

export class TimeChart {
  // series: [{ key, label(), past }], past: it ends before the others, its last value stands; span_ms: how much of the end is shown; label(): the chart's name for screen readers
  constructor(root, { series, unit, height, span_ms, label, onzoom }) {
    Object.assign(this, { root, series, unit, height, span_ms, label, onzoom, view: null, at: null });
    this.data = { t: [], y: {} };
    this.svg = s("svg", { class: "chart", tabindex: 0, role: "img", height });
    this.read = h("output", { class: "vh", "aria-live": "polite" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.layers = Object.fromEntries(["grid", "gaps", "lines", "axis", "ends", "cursor", "drag"].map((name) => [name, this.svg.appendChild(s("g", { class: `c-${name}` }))]));
    this.paths = new Map(series.map(({ key }) => [key, this.layers.lines.appendChild(s("path", { class: `line part-${key}`, "data-series": key }))]));
    root.classList.add("chartbox");
    root.append(this.svg, this.tip, this.read);
    new ResizeObserver(() => this.draw()).observe(root);
    this.listen();
  }

  show(data) {
    this.data = data;
    this.draw();
  }

  // The last span, or what there is of it while the first data are younger.
  range() {
    if (this.view) return this.view;
    const { t, y } = this.data;
    const end = t[t.length - 1] ?? 0;
    const first = t.findIndex((_, i) => this.series.some(({ key }) => y[key]?.[i] != null));
    return [Math.max(end - this.span_ms, Math.min(t[first] ?? 0, end - SHORTEST_MS)), end];
  }

  indexAt(time) {
    const { t } = this.data;
    let low = 0;
    let high = t.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (t[middle] < time) low = middle + 1;
      else high = middle;
    }
    return Math.max(low, 0);
  }

  draw() {
    const width = this.root.clientWidth;
    const { t, y } = this.data;
    set(this.svg, "aria-label", say("chart_help", this.label()));
    if (!width || !t.length) return;
    const { height } = this;
    const [from, to] = this.range();
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const x = (time) => MARGIN.left + ((time - from) / (to - from)) * (right - MARGIN.left);
    const first = Math.max(0, this.indexAt(from) - 1);
    const last = this.indexAt(to);
    let low = 0;
    let high = 0;
    for (const { key } of this.series) {
      for (let i = first; i <= last; i++) {
        const value = y[key]?.[i];
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const room = (high - low || 1) * 0.06;
    if (low < 0) low -= room;
    high += room;
    const vertical = (value) => MARGIN.top + ((high - value) / (high - low)) * (bottom - MARGIN.top);
    Object.assign(this, { width, x, vertical, right, bottom });
    set(this.svg, "viewBox", `0 0 ${width} ${height}`);
    set(this.svg, "width", width);
    this.drawAxes(from, to, low, high);
    this.drawGaps(from, to, first, last);
    this.drawLines(first, last);
    this.cursor(this.at, false);
  }

  drawAxes(from, to, low, high) {
    const lines = [];
    const texts = [];
    for (const value of niceTicks(low, high, 5)) {
      const at = Math.round(this.vertical(value)) + 0.5;
      lines.push(s("line", { x1: MARGIN.left, x2: this.right, y1: at, y2: at, class: value === 0 ? "zero" : null }));
      texts.push(s("text", { x: MARGIN.left - 6, y: at + 3.5, "text-anchor": "end" }, num(value, 0)));
    }
    const step = 1000 * (TICKS_S.find((tick) => (to - from) / 1000 / tick <= (this.right - MARGIN.left) / 74) ?? 86400);
    for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
      texts.push(s("text", { x: this.x(time), y: this.height - 6, "text-anchor": "middle" }, step < 60000 ? hms(time) : hm(time)));
    }
    this.layers.grid.replaceChildren(...lines);
    this.layers.axis.replaceChildren(...texts);
  }

  drawGaps(from, to, first, last) {
    const { t, y } = this.data;
    const columns = this.series.map(({ key }) => y[key] ?? []);
    const drawn = [];
    for (const [start, end] of gaps(t, columns, first, last)) {
      const left = this.x(Math.max(start, from));
      const width = this.x(Math.min(end, to)) - left;
      if (width < 1.5) continue;
      drawn.push(s("rect", { x: left, y: MARGIN.top, width, height: this.bottom - MARGIN.top, class: "gap", "data-from": start, "data-to": end }));
      // Inside the gap where there is room, else beside it.
      drawn.push(s("text", { x: width > 50 ? left + 5 : left + width + 4, y: this.bottom - 8 }, say("no_data")));
    }
    this.layers.gaps.replaceChildren(...drawn);
  }

  drawLines(first, last) {
    const { t, y } = this.data;
    const ends = [];
    for (const part of this.series) {
      const values = y[part.key] ?? [];
      const kept = decimate(t, values, first, last, this.x);
      let path = "";
      let pen = "M";
      for (const i of kept) {
        if (i !== null) path += `${pen}${this.x(t[i]).toFixed(1)} ${this.vertical(values[i]).toFixed(1)}`;
        pen = i === null ? "M" : "L";
      }
      set(this.paths.get(part.key), "d", path || "M0 0");
      const end = kept.findLast((i) => i !== null);
      // A part that has no value now is labelled where its line ended, with words instead of a number.
      if (end !== undefined) ends.push({ part, text: values[last] == null && !part.past ? say("no_data") : signed(values[end], 0), y: this.vertical(values[end]) });
    }
    // End labels are pushed apart, then up again as far as they hang below the axis.
    ends.sort((a, b) => a.y - b.y);
    for (let i = 1; i < ends.length; i++) ends[i].y = Math.max(ends[i].y, ends[i - 1].y + LABEL_HEIGHT);
    for (let i = ends.length - 1, floor = this.bottom - 8; i >= 0; i--, floor -= LABEL_HEIGHT) ends[i].y = Math.min(ends[i].y, floor);
    this.layers.ends.replaceChildren(
      ...ends.flatMap(({ part, text, y: at }) => [
        s("text", { x: this.right + 8, y: at - 1, class: `end part-${part.key}` }, part.label()),
        s("text", { x: this.right + 8, y: at + 12, class: "endvalue" }, text),
      ]),
    );
  }

  cursor(index, aloud = true) {
    this.at = index;
    const { t, y } = this.data;
    if (index === null || t[index] === undefined || t[index] < this.range()[0] || !this.x) {
      this.layers.cursor.replaceChildren();
      this.tip.hidden = true;
      return;
    }
    const x = this.x(t[index]);
    const values = this.series.map((part) => ({ part, value: y[part.key]?.[index] }));
    const text = (value) => (value == null ? say("no_data") : `${signed(value)} ${this.unit}`);
    this.layers.cursor.replaceChildren(
      s("line", { x1: x, x2: x, y1: MARGIN.top, y2: this.bottom }),
      ...values.filter(({ value }) => value != null).map(({ part, value }) => s("circle", { cx: x, cy: this.vertical(value), r: 3, class: `part-${part.key}` })),
    );
    this.tip.replaceChildren(h("b", {}, hms(t[index])), ...values.map(({ part, value }) => h("div", {}, h("i", { class: `swatch part-${part.key}` }), h("span", {}, part.label()), h("em", {}, text(value)))));
    this.tip.hidden = false;
    const wide = this.tip.offsetWidth;
    this.tip.style.left = `${x + 14 + wide > this.width ? x - wide - 12 : x + 14}px`;
    if (aloud) put(this.read, `${hms(t[index])}: ${values.map(({ part, value }) => `${part.label()} ${text(value)}`).join(", ")}`);
  }

  zoom(view) {
    this.view = view;
    this.draw();
    this.onzoom?.(view);
  }

  listen() {
    const timeAt = (event) => {
      const [from, to] = this.range();
      return from + ((event.clientX - this.svg.getBoundingClientRect().left - MARGIN.left) / (this.right - MARGIN.left)) * (to - from);
    };
    let start = null;
    const drop = () => {
      start = null;
      this.layers.drag.replaceChildren();
    };
    this.svg.addEventListener("pointerdown", (event) => {
      start = timeAt(event);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!this.x) return;
      if (start !== null) {
        const [a, b] = [this.x(start), this.x(timeAt(event))];
        this.layers.drag.replaceChildren(s("rect", { x: Math.min(a, b), y: MARGIN.top, width: Math.abs(a - b), height: this.bottom - MARGIN.top }));
      }
      this.cursor(this.indexAt(timeAt(event)), false);
    });
    this.svg.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const [a, b] = [Math.min(start, timeAt(event)), Math.max(start, timeAt(event))];
      drop();
      if (this.x(b) - this.x(a) > 8) this.zoom([a, b]);
    });
    this.svg.addEventListener("pointerleave", () => {
      drop();
      this.cursor(null);
    });
    this.svg.addEventListener("dblclick", () => this.zoom(null));
    this.svg.addEventListener("keydown", (event) => {
      const count = this.data.t.length;
      const [from, to] = this.range();
      const step = Math.max(1, Math.round((this.indexAt(to) - this.indexAt(from)) / 60));
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        event.preventDefault();
        const next = (this.at ?? count) + (event.key === "ArrowLeft" ? -step : step);
        this.cursor(Math.min(count - 1, Math.max(0, next)));
      } else if (event.key === "Escape") {
        this.cursor(null);
        this.zoom(null);
      }
    });
  }
}
