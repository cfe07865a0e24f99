// The page of storage, vehicles and the grid's events: plan, promises, offers, events and overrides of one facility. Controls are off while the feed is lost.
import { ask } from "./asking.js";
import { byId, h, put, set } from "./dom.js";
import { follow } from "./feed.js";
import { overrideCard } from "./overrides.js";
import { planCards } from "./plan.js";
import { responseCards } from "./response.js";
import { day, hms, language, say, speak, useZone } from "./words.js";

const DAY_MS = 86400000;
const EVENTS_MS = 2000;
const PLAN_MS = 10000;
const query = new URLSearchParams(location.search);
let facility = null;
let frame = null;
let feedState = ["wait", 0];
let known = { assets: [], branches: [], plan: null, offers: null };
let measured = { t: [], grid: [] };

const now = () => frame?.t ?? Date.now();
const showPlan = planCards();
const response = responseCards(now);
const overrides = overrideCard(now);
const path = (rest) => `/api/v1/facilities/${encodeURIComponent(facility.id)}${rest}`;

async function loadPlan() {
  const [found, series] = await Promise.all([ask(path("/flexibility")), ask(path(`/series?from=${now() - DAY_MS / 4}&to=${now() + 1}&points=360`))]);
  if (found) known = found;
  if (series) measured = { t: series.t, grid: series.y.grid ?? [] };
  paint();
  return Boolean(found);
}

function paint() {
  showPlan(known, measured, now());
  controls();
}

function controls() {
  const off = feedState[0] !== "live";
  for (const button of document.querySelectorAll("[data-control]")) if (button.disabled !== off) button.disabled = off;
}

function take(state) {
  frame = state;
  put(byId("clock"), hms(frame.t));
  put(byId("zone"), `${day(frame.t)} ${frame.tz}`);
}

function showFeed(word, age) {
  feedState = [word, age];
  document.body.dataset.feed = word;
  put(byId("feed"), say(word, age));
  byId("banner").hidden = word !== "lost";
  put(byId("banner"), word !== "lost" ? "" : frame ? say("lost_banner", age, hms(frame.t)) : say("waiting_banner", age));
  controls();
}

function useLanguage(name) {
  speak(name);
  localStorage.setItem("language", name);
  put(byId("language"), say("language"));
  showFeed(...feedState);
  if (!facility) return;
  response.words();
  overrides.words();
  paint();
}

async function start() {
  const found = await ask("/api/v1/facilities");
  if (!found) {
    setTimeout(start, 2000);
    return;
  }
  facility = found.facilities.find(({ id }) => id === query.get("facility")) ?? found.facilities[0];
  if (!facility) return;
  useZone(facility.time_zone);
  byId("facility").replaceChildren(...found.facilities.map(({ id, name }) => h("option", { value: id, selected: id === facility.id }, name || id)));
  set(document.querySelector(".brand"), "href", `/?facility=${encodeURIComponent(facility.id)}`);
  await new Promise((resolve) => {
    const first = (state) => {
      take(state);
      resolve();
    };
    follow(facility.id, { state: first, feed: showFeed });
  });
  await loadPlan();
  response.use(facility);
  overrides.use(facility, known);
  setInterval(loadPlan, PLAN_MS);
  setInterval(() => {
    response.refresh();
    overrides.refresh();
    controls();
  }, EVENTS_MS);
}

document.documentElement.dataset.theme = query.get("theme") ?? localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
byId("language").onclick = () => useLanguage(language === "en" ? "zh" : "en");
byId("facility").onchange = (event) => {
  query.set("facility", event.target.value);
  location.search = query.toString();
};
useLanguage(query.get("language") ?? localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
start();
