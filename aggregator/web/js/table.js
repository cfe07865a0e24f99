// Tables of text: heads by key, rows of cells, a word where there is nothing.
import { byId, h } from "./dom.js";
import { say } from "./words.js";

// rows: [{ key, cells }] or [cells]; a cell is text, a node, or { text, number: true }.
export function fill(id, heads, rows, none) {
  const table = byId(id);
  const numeric = (column) => rows.some((row) => (row.cells ?? row)[column]?.number);
  table.tHead.replaceChildren(h("tr", {}, heads.map((key, column) => h("th", { scope: "col", class: numeric(column) ? "number" : null }, say(key)))));
  const cell = (each) => (each?.number ? h("td", { class: "number" }, each.text) : h("td", {}, each instanceof Node ? each : String(each)));
  const filled = rows.map((row) => h("tr", { "data-row": row.key, "data-state": row.state }, (row.cells ?? row).map(cell)));
  table.tBodies[0].replaceChildren(...(filled.length ? filled : [h("tr", {}, h("td", { colspan: heads.length }, none))]));
}

export const number = (text) => ({ text, number: true });
