// The plan of now beside what is measured: powers, what each asset shall do and why, promises that cannot be kept, and what could be offered.
import { TimeChart } from "./chart.js";
import { byId, h, put, set } from "./dom.js";
import { fill, number } from "./table.js";
import { day, hm, num, say, signed } from "./words.js";

const HOUR_MS = 3600000;
const ASSETS = ["flex_asset", "flex_set_point", "flex_measured", "flex_held", "flex_need", "flex_departs", "flex_promise"];
const WHY = ["flex_when", "flex_marginal", "flex_binding", "flex_words"];
const HOURS = [0.25, 1, 2, 4];
const OFFERS = ["flex_offer_from", ...HOURS.map((hours) => `flex_offer_${String(hours).replace(".", "_")}`)];
const OFFERS_SHOWN = 8;
const WHY_SHOWN = 16;

// The step of the plan in which an instant lies; -1 where none is.
const stepAt = (edges, at) => (at < edges[0] ? -1 : edges.findIndex((edge, i) => i + 1 < edges.length && at < edges[i + 1]));

// Promises that the plan cannot keep, each with the most that it lacks at a time.
function broken({ broken: found }) {
  const most = new Map();
  for (const { kind, name, amount, unit } of found) {
    const key = `${say(`flex_broken_${kind}`)} ${name}`;
    if (!(most.get(key)?.amount >= amount)) most.set(key, { amount, unit });
  }
  const named = [...most].map(([key, { amount, unit }]) => `${key}: ${num(amount)} ${unit}`);
  return named.length ? say("flex_broken", named.join(", ")) : "";
}

export function planCards() {
  let chart = null;

  function showChart(plan, measured) {
    chart ??= new TimeChart(byId("plan-chart"), {
      series: [{ key: "load", label: () => say("flex_measured_grid"), past: true }, { key: "forecast", label: () => say("flex_planned_grid") }, { key: "pv", label: () => say("flex_sun") }, { key: "sto", label: () => say("sto") }, { key: "ev", label: () => say("ev") }],
      unit: "kW", height: 280, span_ms: 43 * HOUR_MS, label: () => say("flex_plan"),
    });
    const points = new Map();
    const at = (ms) => points.get(ms) ?? points.set(ms, {}).get(ms);
    measured.t.forEach((ms, i) => Object.assign(at(ms), { load: measured.grid[i] }));
    if (plan) {
      const kinds = { sto: [], ev: [] };
      for (const [name, { asset }] of Object.entries(plan.assets)) kinds[{ battery: "sto", charger: "ev" }[plan.kinds?.[asset]]]?.push(plan.assets[name].kw);
      const total = (series, i) => (series.length ? series.reduce((sum, one) => sum + one[i], 0) : null);
      plan.edges_ms.slice(0, -1).forEach((start, i) => {
        const values = { forecast: plan.import_kw[i] - plan.export_kw[i], pv: -(plan.sun_kw[i] - plan.curtailed_kw[i]), sto: total(kinds.sto, i), ev: total(kinds.ev, i) };
        Object.assign(at(start), values);
        Object.assign(at(plan.edges_ms[i + 1] - 1), values);
      });
    }
    const t = [...points.keys()].sort((a, b) => a - b);
    chart.show({ t, y: Object.fromEntries(["load", "forecast", "pv", "sto", "ev"].map((key) => [key, t.map((ms) => points.get(ms)[key] ?? null)])) });
  }

  function showSaid(plan) {
    if (!plan) {
      put(byId("plan-said"), say("flex_no_plan"));
      put(byId("plan-broken"), "");
      put(byId("plan-notes"), "");
      return;
    }
    const kg = Object.entries(plan.kg).map(([name, value]) => `${num(value)} kg CO2e (${say(`flex_${name}`)})`).join(", ");
    const said = [say("flex_said", plan.id ?? "", say(`flex_status_${plan.status}`), hm(plan.made_ms), plan.trigger.map((word) => say(`flex_by_${word.replace(/\W/g, "_")}`)).join(", "), num(plan.money.total, 2), plan.currency)];
    if (kg) said.push(kg);
    if (plan.charging_mode && plan.charging_mode !== "two_way") said.push(say(`flex_charging_${plan.charging_mode}`));
    for (const [mode, each] of Object.entries(plan.against ?? {})) said.push(say("flex_against", say(`flex_mode_${mode}`), signed(each.saved_money, 2), plan.currency, num(each.peak_kw), num(plan.peak_kw)));
    put(byId("plan-said"), said.join(" · "));
    byId("plan-said").className = plan.status === "stale" ? "bad" : "";
    put(byId("plan-broken"), broken(plan));
    put(byId("plan-notes"), [plan.why, ...plan.notes, plan.outlook && say("flex_outlook", plan.outlook)].filter(Boolean).join(" · "));
  }

  // One row per asset; of a pile with a vehicle, what it needs and whether it will have it.
  function showAssets(known, plan, now_ms) {
    const step = plan ? stepAt(plan.edges_ms, now_ms) : -1;
    const rows = known.assets.filter(({ kind }) => kind !== "pv" || plan).map((asset) => {
      const stay = plan?.stays.find((one) => one.asset === asset.name);
      const course = plan && Object.values(plan.assets).find((one) => one.asset === asset.name);
      const kw = course && step >= 0 ? course.kw[step] : null;
      const lacking = plan?.lacking.find((one) => one.asset === asset.name);
      const load = plan?.loads?.find((one) => one.asset === asset.name && one.until_ms > now_ms);
      const held = stay ? stay.held_kwh : load?.kind === "window" ? load.had_kwh : asset.held_kwh;
      const need = stay ? num(stay.need_kwh) : load?.kind === "window" ? num(load.kwh) : "–";
      const departs = stay ? `${day(stay.departs_ms)} ${hm(stay.departs_ms)}${stay.basis === "vehicle" ? "" : ` (${say(`flex_basis_${stay.basis}`)})`}` : load?.kind === "window" ? `${day(load.until_ms)} ${hm(load.until_ms)}` : "–";
      const promise = stay && plan.charging_mode === "uncontrolled" ? say("flex_unplanned") : load ? (load.lacking_kwh > 0.05 ? say("flex_lacks", num(load.lacking_kwh)) : say(load.kind === "window" ? "flex_kept" : "flex_in_band")) : !stay ? (plan?.left_out.includes(asset.name) ? say("flex_left_out") : "–") : lacking ? say(lacking.likely ? "flex_at_risk" : "flex_lacks", num(lacking.kwh)) : say("flex_kept");
      return { key: asset.name, state: lacking || load?.lacking_kwh > 0.05 ? "lacking" : null, cells: [`${asset.name} · ${say(`flex_kind_${asset.kind}`)}`, number(signed(kw)), number(signed(asset.measured_kw)), number(load?.kind === "comfort" ? say("flex_degrees", num(load.degc), num(load.had_kwh), num(load.kwh)) : held == null ? (asset.soc_percent == null ? "–" : say("soc", num(asset.soc_percent, 0))) : `${num(held)} kWh`), number(need), departs, promise] };
    });
    fill("assets", ASSETS, rows, say("flex_no_assets"));
  }

  function showWhy(plan, now_ms) {
    const spans = (plan?.explained ?? []).filter(({ until_ms }) => until_ms > now_ms).slice(0, WHY_SHOWN);
    const rows = spans.map((each) => ({ key: each.from_ms, cells: [`${hm(each.from_ms)}–${hm(each.until_ms)}`, number(num(each.marginal_price, 3)), each.binding.join(", ") || say("flex_nothing"), each.words] }));
    fill("why", WHY, rows, say("flex_no_plan"));
    byId("loads-why").replaceChildren(...(plan?.loads ?? []).map(({ words }) => h("li", {}, words)));
  }

  function showOffers(offers) {
    const begins = new Map();
    for (const each of offers?.offers ?? []) {
      const at = begins.get(each.from_ms) ?? begins.set(each.from_ms, {}).get(each.from_ms);
      at[each.hours] = { ...at[each.hours], [each.direction]: each.kw };
    }
    const shown = [...begins].sort((a, b) => a[0] - b[0]).slice(0, OFFERS_SHOWN);
    const cell = (each) => number(each ? `${num(each.down)} / ${num(each.up)}` : "–");
    const rows = shown.map(([from, of]) => [`${day(from)} ${hm(from)}`, ...HOURS.map((hours) => cell(of[hours]))]);
    fill("offers", OFFERS, rows, say("flex_no_offers"));
    put(byId("offers-said"), offers?.at_ms ? say("flex_offers_at", hm(offers.at_ms)) : "");
  }

  return (known, measured, now_ms) => {
    showChart(known.plan, measured);
    showSaid(known.plan);
    showAssets(known, known.plan, now_ms);
    showWhy(known.plan, now_ms);
    showOffers(known.offers);
    set(byId("plan-said"), "data-status", known.plan?.status);
  };
}
