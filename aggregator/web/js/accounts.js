// The books of a facility: what a month or year comes to under each profile, as known now and as published; runs with what became of them; the meter tree.
import { byId, h, put } from "./dom.js";
import { drawIssued, issuedSpans } from "./issued.js";
import { periods, spanOf } from "./local_time.js";
import { TREE, treeRows } from "./meter_tree.js";
import { logIn } from "./session.js";
import { day, hm, language, num, say, signed, speak, tons, useZone } from "./words.js";

const PROFILES = ["GHGP-LB", "GHGP-MB"]; // always; others where they have runs
const TOTALS = ["profile", "account_latest", "account_half_width", "account_covered", "account_not_well", "account_provisional", "account_published", "account_change", "account_causes"];
const RUNS = ["account_run", "profile", "period", "account_t", "state", "account_change", "account_causes", "hand_reason", "hand_by", "hand_at"];
const NUMBERS = new Set(["account_latest", "account_half_width", "account_covered", "account_not_well", "account_provisional", "account_published", "account_change", "account_t", ...TREE.slice(1)]);
const query = new URLSearchParams(location.search);
let facilities = [];
let facility = null;
let now_ms = 0;
let asked = 0; // the newest question: answers to older ones are dropped

async function ask(path) {
  const answer = await fetch(path).catch(() => null);
  if (answer?.status === 401 && (await logIn())) return ask(path);
  if (answer?.ok) return answer.json();
  const problem = await answer?.json().catch(() => null);
  return { problem: problem ? `${problem.thing}: ${problem.expected}, ${problem.seen}` : say("no_data") };
}

const at = (part) => `/api/v1/facilities/${encodeURIComponent(facility.id)}/${part}`;
const numeric = (key) => (NUMBERS.has(key) ? "number" : null);
const head = (id, keys) => byId(id).tHead.replaceChildren(h("tr", {}, keys.map((key) => h("th", { scope: "col", class: numeric(key) }, say(key)))));
const cells = (keys, texts) => texts.map((text, n) => (n ? h("td", { class: numeric(keys[n]) }, text) : h("th", { scope: "row" }, text)));
const causes = (bridge) => (bridge?.causes ?? []).map(({ cause, shown_kg }) => `${say(`cause_${cause}`)} ${signed(Number(shown_kg) / 1000, 3)}`).join(", ");

// Its last day is in it; a span that does not end at a midnight shows when it does.
function written(from_ms, to_ms) {
  const whole = hm(from_ms) === "00:00" && hm(to_ms) === "00:00";
  return whole ? `${day(from_ms)} – ${day(to_ms - 1)}` : `${day(from_ms)} ${hm(from_ms)} – ${day(to_ms)} ${hm(to_ms)}`;
}

function costs(profile, found) {
  return (found ?? []).map(({ currency, prices, rows: [whole] }) => {
    const by = prices.map(({ price_per_t, source }) => `${price_per_t} ${currency}/t (${source})`).join("; ");
    const cost = whole.cost == null ? say("account_no_cost", currency) : say("account_cost", num(Number(whole.cost), 2), currency, by);
    return `${profile}: ${cost}${whole.cost == null || whole.complete ? "" : ` ${say("account_cost_of", tons(whole.priced_kg))}`}`;
  });
}

async function totalRow(profile, span, listed) {
  const asking = `profile=${encodeURIComponent(profile)}&from=${span.from}&to=${span.to}`;
  const made = await ask(at(`statement?${asking}&lines=false`));
  if (made.problem) return { row: [profile, "–", "", "", "", "", "", "", made.problem], notes: [] };
  const published = listed.publications.find((each) => each.profile === profile && each.from_ms === span.from && each.to_ms === span.to && each.state === "published");
  const known = published ? await ask(at(`totals?${asking}&view=latest`)) : null;
  const bridge = known?.series?.find(({ publication }) => publication === published.publication)?.bridge;
  const { covered, expected, substituted, provisional } = made.coverage;
  const of = (count) => (expected ? `${num((100 * count) / expected, 1)} %` : "–");
  const delta = bridge?.delta_kg == null ? "–" : `${signed(Number(bridge.delta_kg) / 1000, 3)} (${signed(Number(bridge.delta_percent), 2)} %)`;
  const { percent, unstated = [] } = made.uncertainty ?? {}; // where meters or factors state none, it is at least so much
  const width = Number(percent) > 0 ? `±${unstated.length ? " ≥" : ""} ${num(Number(percent), 1)} %` : "–";
  const row = [profile, tons(made.scopes_kg), width, of(covered), of(substituted), num(provisional, 0), published ? tons(published.kg) : say("account_not_published"), delta, causes(bridge)];
  const incomplete = made.complete ? [] : [say("account_incomplete", profile)];
  return { row, notes: [...incomplete, ...costs(profile, made.costs), ...made.notes.map((note) => `${profile}: ${note}`)] };
}

async function showTotals(question, span, listed) {
  head("totals", TOTALS);
  const profiles = [...new Set([...PROFILES, ...listed.runs.map(({ profile }) => profile)])];
  byId("totals").tBodies[0].replaceChildren(...profiles.map((profile) => h("tr", { "data-profile": profile }, cells(TOTALS, [profile, "…", ...TOTALS.slice(2).map(() => "")]))));
  byId("said").replaceChildren();
  for (const profile of profiles) {
    const { row, notes } = await totalRow(profile, span, listed);
    if (question !== asked) return;
    byId("totals").querySelector(`[data-profile="${CSS.escape(profile)}"]`)?.replaceChildren(...cells(TOTALS, row));
    byId("said").append(...notes.map((note) => h("li", {}, note)));
  }
}

function showRuns(listed) {
  head("runs", RUNS);
  drawIssued(byId("issued"), issuedSpans(listed), written);
  const rows = [...listed.runs].reverse().map((run) => {
    const state = say(`run_${run.state}`) + (run.waits ? ` · ${say("account_waits")}` : "") + (run.bridge && !run.reissued ? ` · ${say("account_small")}` : "");
    const delta = run.bridge?.delta_kg == null ? "" : `${signed(Number(run.bridge.delta_kg) / 1000, 3)} t`;
    const by = [run.operator, run.approver].filter(Boolean).join(" → ");
    const texts = [String(run.run), run.profile, written(run.from_ms, run.to_ms), tons(run.kg), state, delta, causes(run.bridge), run.reason, by, `${day(run.created_at_ms)} ${hm(run.created_at_ms)}`];
    return h("tr", { "data-state": run.state }, cells(RUNS, texts));
  });
  byId("runs").tBodies[0].replaceChildren(...(rows.length ? rows : [h("tr", {}, h("td", { colspan: RUNS.length }, say("account_no_runs")))]));
}

// What is published is calculated again, which may take long: only when somebody asks.
async function showImpact() {
  const question = asked;
  byId("impact").replaceChildren(h("li", {}, "…"));
  const { impact, problem } = await ask(at("impact"));
  if (question !== asked) return;
  const told = ({ publication, bridge, reissue, unknown }) => {
    const name = `${publication.publication}: ${publication.profile} ${written(publication.from_ms, publication.to_ms)}`;
    if (!bridge) return say("account_moves_unknown", name, unknown);
    const change = `${signed(Number(bridge.delta_kg ?? 0) / 1000, 3)} t`;
    return say("account_moves", name, tons(bridge.before_kg), tons(bridge.after_kg), change, causes(bridge), say(reissue ? "account_reissue" : "account_next_issue"));
  };
  const lines = problem ? [problem] : impact.length ? impact.map(told) : [say("account_nothing_moves")];
  byId("impact").replaceChildren(...lines.map((line) => h("li", {}, line)));
}

async function showTree(question, span) {
  head("tree", TREE);
  const found = await ask(at(`tree?from=${span.from}&to=${span.to}&carrier=${byId("carrier").value}`));
  if (question !== asked) return;
  for (const th of [...byId("tree").tHead.rows[0].cells].slice(1, 3)) put(th, found.unit ? `${th.textContent}, ${found.unit}` : th.textContent);
  byId("tree").tBodies[0].replaceChildren(...(found.spans ? treeRows(found.spans[0]) : []));
  put(byId("tree-said"), found.problem ?? say("tree_said", num(found.spans[0].total == null ? null : Number(found.spans[0].total), 1), found.unit));
}

async function load() {
  const question = ++asked;
  byId("impact").replaceChildren();
  const span = spanOf(byId("period").value, facility.time_zone, now_ms, facility.interval_s);
  put(byId("span"), written(span.from, span.to) + (span.to < span.whole ? ` · ${say("account_so_far")}` : ""));
  const found = await ask(at("runs"));
  const listed = found.problem ? { runs: [], publications: [] } : found;
  if (question !== asked) return;
  showRuns(listed);
  await showTree(question, span);
  if (question === asked) await showTotals(question, span, listed);
}

async function useFacility() {
  useZone(facility.time_zone);
  byId("facility").replaceChildren(...facilities.map(({ id, name }) => h("option", { value: id, selected: id === facility.id }, name || id)));
  now_ms = (await ask(at("devices"))).at_ms ?? Date.now();
  const names = periods(now_ms, facility.time_zone, 14, 3);
  const chosen = byId("period").value || query.get("period") || names[0];
  if (!names.includes(chosen) && /^\d{4}(-(0[1-9]|1[0-2]))?$/.test(chosen)) names.push(chosen);
  byId("period").replaceChildren(...names.map((name) => h("option", { value: name, selected: name === chosen }, name)));
  const carriers = [...new Set(["electricity", ...facility.meters.map(({ carrier }) => carrier)])].filter((name) => name !== "oil");
  byId("carrier").replaceChildren(...carriers.map((name) => h("option", { value: name }, say(`carrier_${name}`))));
  load();
}

function useLanguage(name) {
  speak(name);
  localStorage.setItem("language", name);
  put(byId("language"), say("language"));
  for (const option of byId("carrier").options) put(option, say(`carrier_${option.value}`));
  if (facility) load();
}

async function start() {
  const found = await ask("/api/v1/facilities");
  if (found.problem) {
    setTimeout(start, 2000);
    return;
  }
  facilities = found.facilities;
  facility = facilities.find(({ id }) => id === query.get("facility")) ?? facilities[0];
  if (facility) useFacility();
}

document.documentElement.dataset.theme = query.get("theme") ?? localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
byId("language").onclick = () => useLanguage(language === "en" ? "zh" : "en");
byId("period").onchange = load;
byId("carrier").onchange = load;
byId("ask-impact").onclick = showImpact;
byId("facility").onchange = (event) => {
  facility = facilities.find(({ id }) => id === event.target.value);
  useFacility();
};
useLanguage(query.get("language") ?? localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
start();
