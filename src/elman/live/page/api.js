// The server's HTTP, with the token where it asks for one.

const KEPT = "elman-token";
const byId = (id) => document.getElementById(id);

export const token = () => sessionStorage.getItem(KEPT);

/** What a route answers, as JSON; throws an Error with the server's own line. */
export async function ask(path, options = {}) {
  for (;;) {
    const found = await fetch(path, { ...options, headers: headers(options.body) });
    if (found.status === 401) {
      await askForToken();
      continue;
    }
    const said = found.status === 204 ? null : await found.json().catch(() => ({ error: found.statusText }));
    if (!found.ok) throw new Error(said.error ?? `The server answered ${found.status}.`);
    return said;
  }
}

export const session = (key, then = "") => `v1/sessions/${encodeURIComponent(key)}${then}`;

export const fork = (key, to) => ask(session(key, "/fork"), { method: "POST", body: JSON.stringify({ to }) });

/** Forgets a sequence; also while the page goes away, when nobody waits for the answer. */
export const forget = (key) =>
  fetch(session(key), { method: "DELETE", keepalive: true, headers: headers() }).catch(() => {});

/** Where a sequence is streamed to, or watched: a browser cannot send headers there. */
export function socketAddress(key, what) {
  const address = new URL(session(key, `/${what}`), location.href);
  address.protocol = address.protocol.replace("http", "ws");
  if (token()) address.searchParams.set("token", token());
  return address;
}

function headers(body) {
  const found = body ? { "Content-Type": "application/json" } : {};
  return token() ? { ...found, Authorization: `Bearer ${token()}` } : found;
}

function askForToken() {
  const dialog = byId("ask");
  byId("asked").textContent = token() ? "That token is not the server's" : "This server needs a token";
  byId("token").value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        sessionStorage.setItem(KEPT, byId("token").value.trim());
        resolve();
      },
      { once: true },
    );
  });
}
