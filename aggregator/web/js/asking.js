// Questions to the server and writes to it: the token is asked for where it is needed, once, and what is refused is said in words.
import { logIn, post } from "./session.js";
import { say } from "./words.js";

// JSON, or null.
export async function ask(path) {
  const answer = await fetch(path).catch(() => null);
  if (answer?.status === 401 && (await logIn())) return ask(path);
  return answer?.ok ? answer.json() : null;
}

// { ok, body, text }: text says why not.
export async function send(path, body) {
  const answer = await post(path, body).catch(() => null);
  if (!answer) return { ok: false, text: say("flex_unreachable") };
  if (answer.status === 401 && (await logIn())) return send(path, body);
  const said = await answer.json().catch(() => ({}));
  return answer.ok ? { ok: true, body: said, text: "" } : { ok: false, text: say("flex_refused", said.thing ?? answer.status, said.expected ?? "", said.seen ?? "") };
}
