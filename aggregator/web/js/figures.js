// The strip of key figures: powers now, emissions now and today. Each figure carries its name and its raw value for whoever reads the page.
import { h, put, set } from "./dom.js";
import { arrow, doing } from "./flow.js";
import { num, say, signed, WORDS, language } from "./words.js";

const TILES = {
  grid: "grid_kw",
  pv: "solar_kw",
  sto: "storage_kw",
  site: "site_load_kw",
  ev: "ev_kw",
  emissions_now: "emissions_now_kg_per_h",
  emissions_today: "emissions_today_kg",
};
const TRUST = { u: "?", s: "≈", e: "≈", b: "✕" };

export const markWord = (mark) => WORDS[language][`mark_${mark}`] ?? mark;

// The site's load is what the plant uses and what its chargers draw.
export const siteLoad = (flow) => (flow.load == null ? undefined : Math.round((flow.load + (flow.ev ?? 0)) * 1000) / 1000);

export function figureStrip(root) {
  const tiles = {};
  for (const [name, figure] of Object.entries(TILES)) {
    const tile = {
      name: h("span", { class: "tile-name" }),
      value: h("b", { "data-figure": figure }),
      unit: h("span", { class: "unit" }),
      trust: h("span", { class: "trust" }),
      note: h("span", { class: "note" }),
    };
    tile.box = h("div", { class: `tile part-${name === "site" ? "load" : name}` }, tile.name, h("div", { class: "value" }, tile.value, tile.unit, tile.trust), tile.note);
    tiles[name] = tile;
    root.append(tile.box);
  }
  const factor = { id: h("span", { "data-figure": "factor_id" }), version: h("span", { "data-figure": "factor_version" }) };

  const write = (name, { value, text, unit, trust, note }) => {
    const tile = tiles[name];
    put(tile.name, say(name));
    put(tile.value, text);
    set(tile.value, "data-value", value);
    put(tile.unit, value == null ? "" : unit);
    put(tile.trust, TRUST[trust] ?? "");
    set(tile.trust, "title", trust && trust !== "g" ? say(`q_${trust}`) : null);
    if (note !== undefined) put(tile.note, note);
  };

  const power = (name, part, kw, trust, note) => write(name, { value: kw, text: signed(kw), unit: "kW", trust, note: note ?? `${arrow(part, kw)} ${say(doing(part, kw))}`.trim() });

  return ({ flow, fq, em, soc, meta }) => {
    for (const part of ["pv", "sto", "ev"]) tiles[part].box.hidden = !meta.parts.includes(part);
    power("grid", "grid", flow.grid, fq.grid);
    power("pv", "pv", flow.pv, fq.pv);
    const charge = soc == null ? "" : ` · ${say("soc", num(soc, 0))}`;
    power("sto", "sto", flow.sto, fq.sto, `${arrow("sto", flow.sto)} ${say(doing("sto", flow.sto))}${charge}`.trim());
    const site = siteLoad(flow);
    power("site", "load", site, fq.load === "s" ? "g" : fq.load, site == null ? say("no_value") : fq.load === "s" ? say("unmetered") : say("using"));
    power("ev", "ev", flow.ev, fq.ev);
    const marks = (em.f_marks ?? []).map(markWord);
    const named = em.f_id ? [say("factor_named", em.f_id, em.f_ver)] : [];
    write("emissions_now", { value: em.kgph, text: num(em.kgph), unit: "kg/h", trust: em.f_q, note: em.f ? [say("factor", em.f), ...(em.f_year ? [say("data_year", em.f_year)] : [])].join(" · ") : say("no_factor") });
    write("emissions_today", { value: em.kg_today, text: num(em.kg_today), unit: "kg", trust: em.f_q });
    // Factor and version stand as elements of their own, so that a reader of the page need not take the sentence apart.
    const today = tiles.emissions_today.note;
    put(factor.id, em.f_id ?? "");
    put(factor.version, em.f_id ? ` · ${[em.f_region, `v${em.f_ver}`].filter(Boolean).join(" ")}` : "");
    set(factor.version, "data-value", em.f_ver);
    const rest = em.f_id ? [...marks, ...(em.missing ? [say("missing_intervals", em.missing)] : [])].map((text) => ` · ${text}`).join("") : say("no_factor");
    if (today.childNodes.length !== 3) today.replaceChildren(factor.id, factor.version, h("span", { "data-figure": "factor_marks" }));
    put(today.lastChild, rest);
    set(today.lastChild, "data-value", (em.f_marks ?? []).join(","));
    set(today, "title", [...named, em.f_src ?? ""].join(" · "));
    tiles.emissions_now.box.classList.toggle("missing", !em.f);
    tiles.emissions_today.box.classList.toggle("missing", !em.f);
  };
}
