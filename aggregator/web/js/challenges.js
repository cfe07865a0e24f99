// Doubts about a figure: a form for anybody who may read, and what was answered.
import { byId, h, put } from "./dom.js";
import { post } from "./session.js";
import { day, say } from "./words.js";

export function challengeCard() {
  const form = byId("challenge");
  let path = "";

  async function list() {
    const answer = await fetch(path).catch(() => null);
    const { challenges } = answer?.ok ? await answer.json() : { challenges: [] };
    const texts = (each) => [`${day(each.received_at_ms)} · ${say(`doubt_${each.state}`)} · ${each.about}: ${each.text}`, each.answer && `${each.by}: ${each.answer}`];
    byId("challenges").replaceChildren(...challenges.map((each) => h("li", { "data-state": each.state }, texts(each).filter(Boolean).map((text) => h("p", {}, text)))));
  }

  form.onsubmit = async (event) => {
    event.preventDefault();
    const body = { about: form.about.value, text: form.text.value, contact: form.contact.value };
    const answer = await post(path, body).catch(() => null);
    put(byId("doubted"), say(answer?.ok ? "doubt_taken" : "doubt_refused"));
    if (!answer?.ok) return;
    form.reset();
    list();
  };

  return (facility) => {
    path = `/api/v1/facilities/${encodeURIComponent(facility)}/challenges`;
    list();
  };
}
