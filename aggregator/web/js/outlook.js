// Today and tomorrow: the load that is forecast beside what was measured, how good such forecasts were, and what this program itself emits.
import { TimeChart } from "./chart.js";
import { byId, h, put } from "./dom.js";
import { logIn } from "./session.js";
import { language, num, say, speak, useZone } from "./words.js";

const DAY_MS = 86400000;
const HOUR_MS = 3600000;
const REFRESH_MS = 300000;
const KEYS = ["measured", "forecast", "high", "low", "naive"];
const SKILL = ["skill_lead", "skill_method", "skill_hours", "skill_mae", "skill_mase", "skill_covered", "skill_bias"];
const OWN = ["facility", "own_readings", "own_kg", "own_saved", "own_net"];
const query = new URLSearchParams(location.search);
let facilities = [];
let facility = null;
let chart = null;

async function ask(path) {
  const answer = await fetch(path).catch(() => null);
  if (answer?.status === 401 && (await logIn())) return ask(path);
  return answer?.ok ? answer.json() : null;
}

// Mean kW of each hour, by its start; the newest forecast of a day counts. The last hour is drawn to its end.
function columns(forecasts, measured) {
  const hours = new Map();
  const at = (start) => hours.get(start) ?? hours.set(start, {}).get(start);
  const kw = (kwh, { start_ms, end_ms }) => (kwh == null ? null : (kwh * HOUR_MS) / (end_ms - start_ms));
  for (const { hours: said } of [...forecasts].sort((a, b) => b.lead_days - a.lead_days)) {
    for (const hour of said) Object.assign(at(hour.start_ms), { end: hour.end_ms, forecast: kw(hour.kwh, hour), high: kw(hour.high_kwh, hour), low: kw(hour.low_kwh, hour), naive: kw(hour.naive_kwh, hour) });
  }
  for (const hour of measured) Object.assign(at(hour.start_ms), { end: hour.end_ms, measured: kw(hour.kwh, hour) });
  const t = [...hours.keys()].sort((a, b) => a - b);
  const data = { t, y: Object.fromEntries(KEYS.map((key) => [key, t.map((start) => hours.get(start)[key] ?? null)])) };
  if (t.length) {
    t.push(hours.get(t[t.length - 1]).end);
    for (const key of KEYS) data.y[key].push(data.y[key][data.y[key].length - 1]);
  }
  return data;
}

function showLoad({ forecasts = [], measured = [] }) {
  chart ??= new TimeChart(byId("load"), {
    series: KEYS.map((key) => ({ key: key === "measured" ? "load" : key, label: () => say(key), past: key === "measured" })),
    unit: "kW",
    height: 300,
    span_ms: 2 * DAY_MS,
    label: () => say("outlook_load"),
  });
  const { t, y } = columns(forecasts, measured);
  chart.show({ t, y: { ...y, load: y.measured } });
  const today = forecasts.find(({ lead_days }) => lead_days === 1);
  const tomorrow = forecasts.findLast(({ lead_days }) => lead_days === 2);
  const told = (entry) => [entry?.day_kwh, entry?.day_low_kwh, entry?.day_high_kwh, entry?.day_kg].map((value) => num(value, 0));
  put(byId("said"), today ? say("outlook_said", today.method, ...told(today), ...told(tomorrow)) : say("outlook_none"));
}

function fill(id, heads, rows, none) {
  byId(id).tHead.replaceChildren(h("tr", {}, heads.map((key) => h("th", { scope: "col" }, say(key)))));
  const filled = rows.map((cells) => h("tr", {}, cells.map((text) => h("td", {}, String(text)))));
  byId(id).tBodies[0].replaceChildren(...(filled.length ? filled : [h("tr", {}, h("td", { colspan: heads.length }, none))]));
}

function showSkill({ skill = [] }) {
  const row = (lead, name, score) => [say(`skill_lead_${lead}`), say(name), score.hours, num(score.mae_kwh, 2), num(score.mase_week_ratio, 3), num(score.covered_percent, 1), num(score.bias_kwh, 2)];
  const rows = skill.flatMap(({ lead_days, issued, naive }) => [row(lead_days, "skill_issued", issued), row(lead_days, "skill_naive", naive)]);
  fill("skill", SKILL, rows, say("outlook_no_skill"));
}

function showOwn(own) {
  const grams = (kg) => (kg == null ? null : Number(kg) * 1000);
  const known = own?.g_per_million != null;
  const with_ = [own?.hardware, own?.power_source, ...(own?.factors ?? [])].filter(Boolean).join(" · ");
  put(byId("own-said"), known ? say("own_said", num(Number(own.g_per_million), 4), num(grams(own.own_kg), 3), num(own.readings, 0), num(Number(own.cpu_s), 0), with_) : say("own_no_figure", own?.why ?? ""));
  const rows = (own?.facilities ?? []).map((share) => [share.facility, num(share.readings, 0), num(grams(share.own_kg), 3), share.saved_kg == null ? say("own_none") : num(grams(share.saved_kg), 1), num(grams(share.net_kg), 1)]);
  fill("own", OWN, rows, say("no_value"));
  const done = (own?.work ?? []).map((one) => say("own_work", one.work, num(one.times, 0), num(one.waited, 0), num(one.g == null ? null : Number(one.g), 4), num(one.g_when_due == null ? null : Number(one.g_when_due), 4)));
  put(byId("own-work"), done.join(" "));
}

async function load() {
  const path = `/api/v1/facilities/${encodeURIComponent(facility.id)}/forecasts`;
  showLoad((await ask(path)) ?? {});
  showSkill((await ask(`${path}/skill`)) ?? {});
  showOwn(await ask("/api/v1/footprint"));
}

function useFacility() {
  useZone(facility.time_zone);
  byId("facility").replaceChildren(...facilities.map(({ id, name }) => h("option", { value: id, selected: id === facility.id }, name || id)));
  load();
}

function useLanguage(name) {
  speak(name);
  localStorage.setItem("language", name);
  put(byId("language"), say("language"));
  if (facility) load();
}

async function start() {
  const found = await ask("/api/v1/facilities");
  if (!found) {
    setTimeout(start, 2000);
    return;
  }
  facilities = found.facilities;
  facility = facilities.find(({ id }) => id === query.get("facility")) ?? facilities[0];
  if (!facility) return;
  useFacility();
  setInterval(load, REFRESH_MS);
}

document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
byId("language").onclick = () => useLanguage(language === "en" ? "zh" : "en");
byId("facility").onchange = (event) => {
  facility = facilities.find(({ id }) => id === event.target.value);
  useFacility();
};
useLanguage(query.get("language") ?? localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
start();
