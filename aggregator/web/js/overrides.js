// Overrides: an operator's word against the plan, with scope, reason and end. What is known of the circuit is the server's word.
import { ask, send } from "./asking.js";
import { byId, h, put } from "./dom.js";
import { fill } from "./table.js";
import { day, hm, num, say } from "./words.js";

const HEADS = ["ov_id", "ov_scope", "ov_what", "ov_until", "ov_reason", "ov_by", "ov_end_head"];
const WHAT = ["leave_out", "hold", "stop"];

export function overrideCard(now) {
  const form = byId("override");
  let facility = null;
  let places = [];
  const path = () => `/api/v1/facilities/${encodeURIComponent(facility.id)}/overrides`;
  const placeWords = (scope, name) => (scope === "facility" ? say("ov_facility") : `${say(`ov_${scope}`)} ${name}`);

  function fields() {
    const chosen = form.place.value;
    form.place.replaceChildren(...places.map(([scope, name]) => h("option", { value: `${scope} ${name}`, selected: `${scope} ${name}` === chosen }, placeWords(scope, name))));
    const what = form.what.value;
    const possible = WHAT.filter((each) => each !== "hold" || form.place.value.startsWith("asset "));
    form.what.replaceChildren(...possible.map((each) => h("option", { value: each, selected: each === what }, say(`ov_${each}`))));
    const kw = form.querySelector("[data-for=hold]");
    kw.hidden = form.what.value !== "hold";
    form.kw.required = !kw.hidden;
  }

  form.place.onchange = fields;
  form.what.onchange = fields;
  form.onsubmit = async (event) => {
    event.preventDefault();
    const [scope, name] = form.place.value.split(" ");
    const body = { scope, name, what: form.what.value, until_ms: now() + Number(form.minutes.value) * 60000, reason: form.reason.value };
    if (body.what === "hold") body.kw = Number(form.kw.value);
    const { ok, body: made, text } = await send(path(), body);
    put(byId("overridden"), ok ? say("ov_taken", made.id) : text);
    byId("overridden").className = ok ? "" : "bad";
    if (ok) form.reason.value = "";
    list();
  };

  async function list() {
    const found = await ask(path());
    const end = (each) => h("span", { class: "buttons" }, h("button", { type: "button", "data-control": true, "data-end": each.id, onclick: () => finish(each) }, say("ov_end")));
    const cells = (each) => [each.id, placeWords(each.scope, each.name), say(`ov_${each.what}`) + (each.kw == null ? "" : ` ${num(each.kw)} kW`), `${day(each.until_ms)} ${hm(each.until_ms)}`, each.reason, each.by, end(each)];
    const key = JSON.stringify(found?.overrides ?? []) + say("ov_end");
    if (byId("overrides").dataset.shown === key) return;
    byId("overrides").dataset.shown = key;
    fill("overrides", HEADS, (found?.overrides ?? []).map((each) => ({ key: each.id, cells: cells(each) })), say("ov_none"));
  }

  async function finish(each) {
    const { ok, text } = await send(`${path()}/${each.id}/end`, {});
    put(byId("overridden"), ok ? say("ov_ended", each.id) : text);
    list();
  }

  return {
    use(named, known) {
      facility = named;
      places = [...(known?.assets ?? []).map(({ name }) => ["asset", name]), ...(known?.branches ?? []).map(({ name }) => ["branch", name]), ["facility", ""]];
      fields();
      list();
    },
    words: () => facility && (fields(), list()),
    refresh: () => facility && list(),
  };
}
