// Demand-response events: asked for, answered, watched against their baseline, settled. What is possible is the server's word.
import { ask, send } from "./asking.js";
import { TimeChart } from "./chart.js";
import { byId, h, put, set } from "./dom.js";
import { field, instant } from "./local_time.js";
import { fill, number } from "./table.js";
import { day, hm, hms, language, num, say } from "./words.js";

const HOUR_MS = 3600000;
const RULES = ["", "ten_of_ten", "high_five_of_ten", "last_five", "quarter_before"];
const EVENTS = ["dr_id", "dr_span", "dr_asked", "dr_firm", "dr_state", "dr_delivered", "dr_money"];
const SLICES = ["dr_interval", "dr_baseline", "dr_metered", "dr_delivered", "dr_due"];
const MAY = { received: ["accept", "decline"], accepted: ["opt-out"], dispatched: ["opt-out"] };
const WATCHED = ["accepted", "dispatched", "opted_out", "ended"];

export function responseCards(now) {
  let facility = null;
  let chosen = null;
  let chart = null;
  const form = byId("ask");
  const path = () => `/api/v1/facilities/${encodeURIComponent(facility.id)}/demand-response`;

  form.onsubmit = async (event) => {
    event.preventDefault();
    const from_ms = instant(form.from.value, facility.time_zone);
    const body = { from_ms, to_ms: from_ms + Number(form.minutes.value) * 60000, target_kw: Number(form.target_kw.value), direction: form.direction.value, source: "operator", note: form.note.value };
    if (form.rules.value) body.rules = form.rules.value;
    if (form.pay_per_kwh.value) body.pay_per_kwh = Number(form.pay_per_kwh.value);
    const { ok, body: made, text } = await send(path(), body);
    put(byId("asked"), ok ? say("dr_taken", made.id, say(`dr_${made.state}`)) : text);
    byId("asked").className = ok ? "" : "bad";
    if (!ok) return;
    chosen = made.id;
    list();
  };

  // The next boundary of the facility's intervals that leaves a minute to answer.
  function fields() {
    const step = facility.interval_s * 1000;
    set(form.from, "step", facility.interval_s);
    set(form.minutes, "step", facility.interval_s / 60);
    set(form.minutes, "min", facility.interval_s / 60);
    if (!form.from.value) form.from.value = field(Math.ceil((now() + 60000) / step) * step, facility.time_zone);
    put(byId("from-label"), say("dr_from", facility.time_zone));
    const options = (name, values, text) => form[name].replaceChildren(...values.map((value) => h("option", { value, selected: value === form[name].value }, text(value))));
    options("direction", ["down", "up"], (value) => say(`dr_${value}`));
    options("rules", RULES, (value) => (value ? say(`dr_${value}`) : say("dr_policy")));
  }

  const span = (event) => `${day(event.from_ms)} ${hm(event.from_ms)}–${hm(event.to_ms)}`;
  const stateWords = (event) => say(`dr_${event.state}`) + (event.opt_out ? ` (${say(`dr_out_${event.opt_out}`)})` : "");

  async function list() {
    const found = await ask(`${path()}?limit=20`);
    const events = [...(found?.events ?? [])].reverse();
    if (!chosen) chosen = events.find(({ state }) => WATCHED.includes(state) || state === "received")?.id ?? events[0]?.id ?? null;
    const open = (event) => h("button", { type: "button", "aria-pressed": String(event.id === chosen), onclick: () => choose(event.id) }, event.id);
    const cells = (event) => [h("span", { class: "buttons" }, open(event)), span(event), `${say(`dr_${event.direction}`)} ${num(event.target_kw)} kW`, number(event.firm_kw == null ? "–" : num(event.firm_kw)), stateWords(event), number(num(event.delivered_kwh)), number(event.money == null ? "–" : `${num(event.money, 2)} ${event.currency}`)];
    fill("events", EVENTS, events.map((event) => ({ key: event.id, state: event.state, cells: cells(event) })), say("dr_none"));
    one();
  }

  function choose(id) {
    chosen = id;
    list();
  }

  async function one() {
    byId("event").hidden = !chosen;
    if (!chosen) return;
    const [event, told] = await Promise.all([ask(`${path()}/${chosen}`), ask(`${path()}/${chosen}/reports`)]);
    if (!event || event.id !== chosen) return;
    put(byId("h-event"), `${event.id} · ${span(event)} · ${stateWords(event)}`);
    set(byId("event"), "data-state", event.state);
    showAnswers(event);
    showDelivery(event);
    showSettled(event);
    showTrace(event, told?.reports ?? []);
  }

  function showAnswers(event) {
    const key = `${event.id} ${event.state} ${language}`;
    if (byId("answers").dataset.for === key) return; // a button in the hand is not taken away
    byId("answers").dataset.for = key;
    const possible = [...(MAY[event.state] ?? [])];
    const button = (answer) => h("button", { type: "button", "data-control": true, "data-answer": answer, onclick: () => reply(event, answer) }, say(`dr_do_${answer.replace("-", "_")}`));
    const proof = h("a", { href: `${path()}/${event.id}/bundle`, download: `${event.id}.zip` }, say("dr_bundle"));
    byId("answers").replaceChildren(...possible.map(button), proof);
  }

  async function reply(event, answer) {
    const reason = answer === "accept" ? "" : await askReason(say(`dr_why_${answer.replace("-", "_")}`, event.id));
    if (reason === null) return;
    const { ok, text } = await send(`${path()}/${event.id}/${answer}`, { reason });
    put(byId("event-said"), text);
    byId("event-said").className = ok ? "" : "bad";
    list();
  }

  function showDelivery(event) {
    const { delivery } = event;
    const step = facility.interval_s * 1000;
    chart ??= new TimeChart(byId("event-chart"), {
      series: [{ key: "load", label: () => say("dr_metered"), past: true }, { key: "forecast", label: () => say("dr_baseline") }, { key: "naive", label: () => say("dr_goal") }],
      unit: "kW", height: 240, span_ms: 26 * HOUR_MS, label: () => say("dr_chart"),
    });
    const t = [];
    const y = { load: [], forecast: [], naive: [] };
    const sign = event.direction === "down" ? 1 : -1;
    for (const each of [...delivery.slices, ...delivery.after]) {
      const goal = each.baseline_kw == null || !each.target_kwh ? null : each.baseline_kw - sign * event.target_kw;
      const end = each.whole || each.metered_kw == null ? each.start_ms + step - 1 : Math.max(each.start_ms + 1, Math.min(each.start_ms + step - 1, now()));
      for (const at of [each.start_ms, end]) {
        t.push(at);
        y.load.push(each.metered_kw);
        y.forecast.push(each.baseline_kw);
        y.naive.push(goal);
      }
      if (end < each.start_ms + step - 1) {
        t.push(each.start_ms + step - 1);
        y.load.push(null);
        y.forecast.push(each.baseline_kw);
        y.naive.push(goal);
      }
    }
    chart.show({ t, y });
    const cells = (each) => [`${hm(each.start_ms)}–${hm(each.start_ms + step)}${each.metered_kw != null && !each.whole ? ` ${say("dr_running")}` : ""}`, ...[each.baseline_kw, each.metered_kw, each.delivered_kwh, each.target_kwh].map((value) => number(num(value)))];
    fill("delivery", SLICES, delivery.slices.map((each) => ({ key: each.start_ms, cells: cells(each) })), say("no_value"));
    const said = [say("dr_said", num(delivery.delivered_kwh), num(delivery.due_kwh), num(delivery.expected_kwh), num(delivery.target_kwh))];
    if (delivery.short_percent > 10) said.push(say("dr_short", num(delivery.short_percent, 0)));
    if (delivery.note) said.push(delivery.note);
    const stands = WATCHED.includes(event.state);
    if (event.state !== "settled") put(byId("event-said"), stands ? said.join(" ") : delivery.note);
    byId("event-said").className = stands && delivery.short_percent > 10 ? "bad" : "";
  }

  function showSettled(event) {
    const last = event.settlements[event.settlements.length - 1]?.result;
    if (!last) {
      put(byId("settled"), "");
      return;
    }
    const kwh = last.delivered_kwh.reduce((sum, value) => sum + value, 0);
    const kg = last.saved_kg.map((each) => `${each.profile}: ${each.kg == null ? say("no_factor") : `${num(Number(each.kg), 3)} kg CO2e`}`).join(" · ");
    const accuracy = last.accuracy ? say("dr_accuracy", num(last.accuracy.bias_percent, 2), num(last.accuracy.rrmse_percent, 2), last.accuracy.days) : say("dr_no_accuracy");
    put(byId("event-said"), say("dr_settled_said", num(kwh), last.response_ratio == null ? "–" : num(last.response_ratio * 100, 0), num(last.money, 2), last.currency));
    byId("event-said").className = "";
    put(byId("settled"), [accuracy, say("dr_rebound", num(last.rebound_kwh)), kg, ...last.said].join(" · "));
  }

  function showTrace(event, reports) {
    const fixed = event.commitment ? [[event.commitment.at_ms, say("dr_fixed", event.commitment.leaf.inputs, event.commitment.index ?? "–")]] : [];
    const steps = event.steps.map((step) => [step.at_ms, `${say(`dr_${step.state}`)} · ${step.by}${step.reason ? `: ${step.reason}` : ""}`]);
    const traced = (event.trace ?? []).map((each) => [each.at_ms, say(`dr_trace_${each.kind}`, each.id, each.text, each.after_s == null ? "–" : num(each.after_s, 1))]);
    const reported = reports.map(({ number, kind, at_ms, content }) => [at_ms, say(`dr_report_${kind}`, number, num(content.expected_kwh), num(content.target_kwh), num(content.short_percent, 0))]);
    const lines = [...steps.slice(0, 1), ...fixed, ...steps.slice(1), ...traced, ...reported].sort((a, b) => a[0] - b[0]);
    byId("trace").replaceChildren(...lines.map(([at, text]) => h("li", {}, h("time", {}, `${day(at)} ${hms(at)}`), " ", text)));
  }

  return {
    use(named) {
      facility = named;
      chosen = null;
      byId("answers").dataset.for = "";
      form.from.value = "";
      fields();
      list();
    },
    words: () => facility && (fields(), list()),
    refresh: () => facility && list(),
  };
}

function askReason(label) {
  const dialog = byId("reason");
  put(byId("reason-label"), label);
  byId("reason-text").value = "";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? byId("reason-text").value : null), { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
}
