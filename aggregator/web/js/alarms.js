// The open alarms: priority by shape, number and word; what nobody has acknowledged stands out. Wording comes from codes.
import { byId, h, put, s, set } from "./dom.js";
import { logIn, post } from "./session.js";
import { day, hm, say, WORDS, language } from "./words.js";

const SHAPES = {
  1: ["M6.500 1.500h7l5 5v7l-5 5h-7l-5-5v-7z", 13.8],
  2: ["M10 1.500 19 18H1z", 15.5],
  3: ["M10 18.500 1 2h18z", 12],
  4: ["M2.500 3.500h15v13h-15z", 13.8],
};
const FLOOD = 10; // raised within 10 minutes

const sign = (priority) => {
  const [path, y] = SHAPES[priority];
  return s("svg", { viewBox: "0 0 20 20", class: `sign priority-${priority}`, role: "img", "aria-label": say(`priority_${priority}`) }, s("path", { d: path }), s("text", { x: 10, y, "text-anchor": "middle" }, priority));
};
const urgency = (a, b) => (a.st === "ack") - (b.st === "ack") || a.pr - b.pr || b.t - a.t;

export function wording(alarm) {
  return WORDS[language][`alarm_${alarm.code}`] ? say(`alarm_${alarm.code}`, ...alarm.args) : [alarm.code, ...alarm.args].join(" ");
}

// Null, or why it failed.
export async function acknowledge(alarm) {
  const answer = await post(`/api/v1/alarms/${encodeURIComponent(alarm.id)}/acknowledge`, {}).catch(() => null);
  if (!answer) return say("wait");
  if (answer.ok || answer.status === 409) return null; // the feed brings the new state
  if (answer.status === 401 && (await logIn())) return acknowledge(alarm);
  const problem = await answer.json().catch(() => ({}));
  return problem.error ?? String(answer.status);
}

export function alarmList() {
  const list = byId("alarms");
  let drawn = "";
  let failed = "";
  let last = [[], 0];

  const button = (alarm) =>
    h("button", { type: "button", "data-acknowledge": alarm.id, onclick: async (event) => {
      event.target.disabled = true;
      failed = (await acknowledge(alarm)) ?? "";
      event.target.disabled = false;
      show(...last);
    } }, say("acknowledge"));

  const entry = (alarm, now) => {
    const state = alarm.st === "ack" && alarm.by ? say("ack_by", alarm.by) : say(alarm.st);
    const when = day(alarm.t) === day(now) ? hm(alarm.t) : `${day(alarm.t)} ${hm(alarm.t)}`;
    return h("li", { class: `alarm ${alarm.st}`, "data-alarm": alarm.id, "data-code": alarm.code, "data-state": alarm.st, "data-priority": alarm.pr }, sign(alarm.pr), h("div", { class: "text" }, h("div", {}, h("b", {}, alarm.src), " ", h("span", {}, wording(alarm))), h("div", { class: "when" }, `${when} · ${say(`priority_${alarm.pr}`)} · ${state}`)), alarm.st === "ack" ? null : button(alarm));
  };

  function show(alarms, now) {
    last = [alarms, now];
    const key = JSON.stringify([alarms, language, failed, day(now)]);
    if (key === drawn) return;
    drawn = key;
    const open = alarms.filter(({ st }) => st !== "ack").length;
    const recent = alarms.filter(({ t }) => t > now - 600000).length;
    const lines = [...alarms].sort(urgency).map((alarm) => entry(alarm, now));
    if (recent > FLOOD) lines.unshift(h("li", { class: "flood" }, say("flood", recent)));
    if (failed) lines.unshift(h("li", { class: "flood", role: "alert" }, say("ack_failed", failed)));
    if (!lines.length) lines.push(h("li", { class: "none" }, say("no_alarms")));
    list.replaceChildren(...lines);
    const count = byId("alarm-count");
    put(count, open ? say("alarm_count", open) : "");
    set(count, "data-value", open);
    set(document.body, "data-alarms", open);
  }
  return show;
}
