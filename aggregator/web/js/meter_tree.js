// The meter tree as rows: each meter under the one that it lies inside of, its own part, what nobody measured further, and check meters.
import { h, s } from "./dom.js";
import { num, say } from "./words.js";

export const TREE = ["device", "tree_energy", "tree_own", "tree_share", "tree_not_well", "tree_provisional"];
const DEEPEST = 6;

// Parents before what lies inside them, each with its depth.
function ordered(nodes) {
  const inside = new Map();
  for (const node of nodes) inside.set(node.parent, [...(inside.get(node.parent) ?? []), node]);
  const known = new Set(nodes.map(({ device }) => device));
  const found = [];
  const walk = (node, depth) => {
    found.push([node, depth]);
    for (const child of inside.get(node.device) ?? []) walk(child, depth + 1);
  };
  for (const node of nodes) if (!known.has(node.parent)) walk(node, 0);
  return found;
}

const cell = (text, more = {}) => h("td", { class: "number", ...more }, text);
const energy = (text) => num(text == null ? null : Number(text), 1);

function share(own, total) {
  if (own == null || total == null || !(Number(total) > 0)) return h("td", { class: "number" }, "–");
  const percent = (100 * Number(own)) / Number(total);
  const width = Math.max(0, Math.min(100, percent)).toFixed(1);
  const bar = s("svg", { class: "sharebar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { class: "whole", width: 100, height: 10 }), s("rect", { class: "bar part-grid", width, height: 10 }));
  return h("td", { class: "number" }, bar, `${num(percent, 1)} %`);
}

export function treeRows({ total, unmetered, undivided, nodes, apart, checks }) {
  const rows = ordered(nodes).map(([node, depth]) => {
    const main = node.role === "main";
    const own = main ? null : node.own;
    const named = h("th", { scope: "row", "data-level": Math.min(depth, DEEPEST) }, node.device, h("span", { class: "muted" }, ` ${say(`role_${node.role}`)}`));
    const cells = [cell(energy(node.energy)), cell(energy(own), node.too_small ? { class: "number bad" } : {}), share(own, total), cell(num(node.substituted, 0)), cell(num(node.provisional, 0))];
    return h("tr", { "data-device": node.device }, named, cells);
  });
  const left = (key, value) => h("tr", { "data-left": key }, h("th", { scope: "row", "data-level": 1 }, say(`tree_${key}`)), cell("–"), cell(energy(value)), share(value, total), cell("–"), cell("–"));
  if (nodes.length) rows.push(left("unmetered", unmetered));
  if (Number(undivided)) rows.push(left("undivided", undivided));
  for (const node of apart) rows.push(h("tr", {}, h("th", { scope: "row" }, node.device, h("span", { class: "muted" }, ` ${say("tree_apart")}`)), cell(energy(node.energy)), cell("–"), cell("–"), cell(num(node.substituted, 0)), cell(num(node.provisional, 0))));
  for (const check of checks) {
    const said = check.apart_percent == null ? say("tree_check", check.checks) : say("tree_check_by", check.checks, num(Number(check.apart_percent), 2), check.limit_percent);
    rows.push(h("tr", {}, h("th", { scope: "row" }, check.device, h("span", { class: check.too_far ? "bad" : "muted" }, ` ${said}`)), cell(energy(check.energy)), cell("–"), cell("–"), cell("–"), cell("–")));
  }
  return rows;
}
