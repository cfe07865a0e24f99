// The overview page of one facility: puts the parts together, keeps the last hour for the chart, language, theme and facility.
import { alarmList } from "./alarms.js";
import { TimeChart } from "./chart.js";
import { deviceTable } from "./devices.js";
import { byId, h, put, set } from "./dom.js";
import { edgeList } from "./edges.js";
import { follow } from "./feed.js";
import { figureStrip, siteLoad } from "./figures.js";
import { flowDrawing } from "./flow.js";
import { logIn } from "./session.js";
import { hms, language, num, say, signed, speak, useZone } from "./words.js";

const HOUR_MS = 3600000;
const KEYS = ["site", "grid", "pv", "sto", "ev"];
const SPANS = [[300000, "5 min"], [900000, "15 min"], [HOUR_MS, "1 h"]];

const query = new URLSearchParams(location.search);
const showFigures = figureStrip(byId("figures"));
const showFlow = flowDrawing(byId("flow"));
const showAlarms = alarmList();
const showEdges = edgeList();
const devices = deviceTable();

let frame = null;
let facility = null;
let feedState = ["wait", 0];
let series = emptySeries();
let lacking = true; // the chart lacks what happened while no frame came

function emptySeries() {
  return { t: [], y: Object.fromEntries(KEYS.map((key) => [key, []])) };
}

function makeChart(parts) {
  const shown = ["site", "grid", ...["pv", "sto", "ev"].filter((part) => parts.includes(part))];
  return new TimeChart(byId("trend"), {
    series: shown.map((key) => ({ key, label: () => say(key) })),
    unit: "kW",
    height: 262,
    span_ms: HOUR_MS,
    label: () => say("trend"),
    onzoom: ranges,
  });
}
let chart = null;

function ranges() {
  if (!chart) return;
  const choose = (span) => {
    chart.span_ms = span;
    chart.zoom(null);
  };
  const buttons = SPANS.map(([span, text]) => h("button", { type: "button", "aria-pressed": String(!chart.view && chart.span_ms === span), onclick: () => choose(span) }, text));
  const hint = chart.view ? h("button", { type: "button", class: "hot", onclick: () => chart.zoom(null) }, say("live")) : h("span", { class: "muted hint" }, say("zoom"));
  byId("ranges").replaceChildren(hint, ...buttons);
}

async function fetchSeries() {
  lacking = false;
  const to = frame.t + 1;
  const answer = await fetch(`/api/v1/facilities/${encodeURIComponent(facility)}/series?from=${to - HOUR_MS}&to=${to}&points=720`).catch(() => null);
  if (!answer?.ok) {
    lacking = true;
    return;
  }
  const { t, y } = await answer.json();
  const live = series;
  series = emptySeries();
  const load = y.load ?? [];
  t.forEach((at, i) => append(at, { grid: y.grid?.[i], pv: y.pv?.[i], sto: y.sto?.[i], ev: y.ev?.[i], site: load[i] == null ? null : load[i] + (y.ev?.[i] ?? 0) }));
  live.t.forEach((at, i) => append(at, Object.fromEntries(KEYS.map((key) => [key, live.y[key][i]]))));
  chart?.show(series);
}

function append(at, values) {
  if (at <= (series.t[series.t.length - 1] ?? 0)) return;
  series.t.push(at);
  for (const key of KEYS) series.y[key].push(values[key] ?? null);
  let old = 0;
  while (series.t[old] < at - HOUR_MS - 60000) old++;
  if (old < 60) return;
  series.t.splice(0, old);
  for (const key of KEYS) series.y[key].splice(0, old);
}

function paint() {
  useZone(frame.tz);
  showFigures(frame);
  showFlow(frame.flow, frame.meta.parts, frame.soc);
  devices.show(frame);
  showEdges(frame.edges ?? {}, frame.t);
  showAlarms(frame.alarms ?? [], frame.t);
  put(byId("residual"), frame.flow.resid == null ? "" : say("residual", signed(frame.flow.resid)));
  set(byId("residual"), "data-value", frame.flow.resid);
  put(byId("clock"), hms(frame.t));
  put(byId("zone"), frame.meta.speed === 1 ? frame.tz : say("accelerated", num(frame.meta.speed, 0)));
  chart.show(series);
}

function take(state, type) {
  frame = state;
  if (!chart) {
    chart = makeChart(frame.meta.parts);
    ranges();
  }
  const { flow } = frame;
  if (type !== "alarm") append(frame.t, { grid: flow.grid, pv: flow.pv, sto: flow.sto, ev: flow.ev, site: siteLoad(flow) });
  paint();
  if (type === "snapshot" || lacking) fetchSeries();
}

function showFeed(word, age) {
  if (word === "lost") lacking = true;
  feedState = [word, age];
  document.body.dataset.feed = word;
  put(byId("feed"), say(word, age));
  const banner = byId("banner");
  banner.hidden = word !== "lost";
  put(banner, word !== "lost" ? "" : frame ? say("lost_banner", age, hms(frame.t)) : say("waiting_banner", age));
}

function useTheme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("theme", name);
  put(byId("theme"), say(name === "dark" ? "light" : "dark"));
  set(byId("theme"), "aria-pressed", String(name === "dark"));
}

function useLanguage(name) {
  speak(name);
  localStorage.setItem("language", name);
  put(byId("language"), say("language"));
  useTheme(document.documentElement.dataset.theme);
  devices.heads();
  ranges();
  showFeed(...feedState);
  if (frame) paint();
}

byId("theme").onclick = () => useTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
byId("language").onclick = () => useLanguage(language === "en" ? "zh" : "en");
document.documentElement.dataset.theme = query.get("theme") ?? localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
useLanguage(query.get("language") ?? localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));

async function start() {
  const answer = await fetch("/api/v1/facilities").catch(() => null);
  if (!answer?.ok) {
    if (answer?.status === 401) await logIn();
    setTimeout(start, answer?.status === 401 ? 0 : 2000);
    return;
  }
  const { facilities } = await answer.json();
  if (!facilities.length) {
    put(byId("reporting"), say("no_facility"));
    return;
  }
  facility = (facilities.find(({ id }) => id === query.get("facility")) ?? facilities[0]).id;
  set(byId("flexibility"), "href", `/flexibility?facility=${encodeURIComponent(facility)}`);
  set(byId("outlook"), "href", `/outlook?facility=${encodeURIComponent(facility)}`);
  set(byId("accounts"), "href", `/accounts?facility=${encodeURIComponent(facility)}`);
  set(byId("hand"), "href", `/readings?facility=${encodeURIComponent(facility)}`);
  const select = byId("facility");
  select.replaceChildren(...facilities.map(({ id, name }) => h("option", { value: id, selected: id === facility }, name || id)));
  select.onchange = () => {
    query.set("facility", select.value);
    location.search = query.toString();
  };
  follow(facility, { state: take, feed: showFeed });
}
start();
