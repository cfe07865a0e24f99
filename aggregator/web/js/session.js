// Writes to the server, and the token that a session starts with. The token is not kept: the cookie that it gives is out of reach of scripts.
import { byId } from "./dom.js";

const HEADERS = { "Content-Type": "application/json", "X-Wattline-Write": "page" };

export const post = (path, body) => fetch(path, { method: "POST", headers: HEADERS, body: JSON.stringify(body) });

// Whether the operator gave the right token.
export async function logIn() {
  const token = await ask();
  return token ? (await post("/api/v1/session", { token }).catch(() => ({ ok: false }))).ok : false;
}

function ask() {
  const dialog = byId("token");
  const field = byId("token-text");
  field.value = "";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? field.value : ""), { once: true });
    dialog.showModal();
  });
}
