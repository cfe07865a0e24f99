// Readings by hand: a form for one display or one exchange of a meter, and what was entered so far. What is accepted is the server's word.
import { challengeCard } from "./challenges.js";
import { byId, h, put } from "./dom.js";
import { instant } from "./local_time.js";
import { logIn, post } from "./session.js";
import { language, num, say, speak, useZone, hms, day } from "./words.js";

const query = new URLSearchParams(location.search);
const form = byId("enter");
const COLUMNS = ["hand_at", "device", "hand_display", "version", "hand_place", "hand_evidence", "hand_by"];
const showChallenges = challengeCard();
let facilities = [];
let facility = null;

const path = () => `/api/v1/facilities/${encodeURIComponent(facility.id)}/hand-readings`;

function useLanguage(name) {
  speak(name);
  localStorage.setItem("language", name);
  put(byId("language"), say("language"));
  const chosen = byId("what").value || "reading";
  byId("what").replaceChildren(...["reading", "exchange"].map((what) => h("option", { value: what, selected: what === chosen }, say(`hand_${what}`))));
  byId("listed").tHead.replaceChildren(h("tr", {}, COLUMNS.map((key) => h("th", { scope: "col" }, say(key)))));
  if (facility) showFacility();
}

function showFacility() {
  put(byId("at-label"), say("hand_clock", facility.time_zone));
  list();
  showChallenges(facility.id);
}

// Only the fields of what is entered are shown, and asked for.
function showFields() {
  for (const label of form.querySelectorAll("[data-for]")) {
    label.hidden = label.dataset.for !== form.what.value;
    label.querySelector("input").required = !label.hidden;
  }
  form.reason.required = form.what.value === "exchange";
}

async function list() {
  const answer = await fetch(`${path()}?from=0&to=4102444800000`).catch(() => null);
  if (answer?.status === 401 && (await logIn())) {
    list();
    return;
  }
  const { readings } = answer?.ok ? await answer.json() : { readings: [] };
  const place = (each) => say(`hand_${each.place}`) + (each.off_kwh == null ? "" : ` (${num(Number(each.off_kwh), 3)} kWh)`);
  const cells = (each) => [`${day(each.at_ms)} ${hms(each.at_ms)}`, each.device, each.display_kwh ?? "–", each.version, place(each), each.evidence, each.by];
  byId("listed").tBodies[0].replaceChildren(...readings.reverse().map((each) => h("tr", { "data-place": each.place }, cells(each).map((text) => h("td", {}, String(text))))));
}

async function send(event) {
  event.preventDefault();
  const exchange = form.what.value === "exchange";
  const at_ms = instant(form.at.value, facility.time_zone);
  const shown = exchange ? { old_last_kwh: form.old_last_kwh.value, new_first_kwh: form.new_first_kwh.value } : { display_kwh: form.display_kwh.value };
  const body = { device: form.device.value, at_ms, ...shown, evidence: form.evidence.value, reason: form.reason.value, by: form.by.value };
  const ask = () => post(path() + (exchange ? "/exchange" : ""), body).catch(() => null);
  let answer = await ask();
  if (answer?.status === 401 && (await logIn())) answer = await ask();
  const said = answer ? await answer.json() : null;
  put(byId("said"), answer?.ok ? say("hand_taken") : say("hand_refused", said?.thing ?? "", said?.expected ?? "", said?.seen ?? ""));
  byId("said").className = answer?.ok ? "" : "bad";
  if (answer?.ok) list();
}

function useFacility() {
  useZone(facility.time_zone);
  byId("facility").replaceChildren(...facilities.map(({ id, name }) => h("option", { value: id, selected: id === facility.id }, name || id)));
  byId("device").replaceChildren(...facility.meters.map(({ device }) => h("option", { value: device }, device)));
  showFacility();
}

async function start() {
  const answer = await fetch("/api/v1/facilities").catch(() => null);
  if (!answer?.ok) {
    if (answer?.status === 401) await logIn();
    setTimeout(start, answer?.status === 401 ? 0 : 2000);
    return;
  }
  facilities = (await answer.json()).facilities;
  facility = facilities.find(({ id }) => id === query.get("facility")) ?? facilities[0];
  if (facility) useFacility();
}

document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
byId("language").onclick = () => useLanguage(language === "en" ? "zh" : "en");
byId("facility").onchange = (event) => {
  facility = facilities.find(({ id }) => id === event.target.value);
  useFacility();
};
byId("what").onchange = showFields;
form.onsubmit = send;
useLanguage(query.get("language") ?? localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
showFields();
start();
