// What the page asks of its server. Every answer is JSON; an error has a message to show.

// What may go well when it is tried again.
export class Passing extends Error {}
export class ServerGone extends Passing {}
export class SessionEnded extends Error {}

async function ask(path, options) {
  let answer, found;
  try {
    answer = await fetch(path, options);
    found = await answer.json();
  } catch {
    throw new ServerGone(
      "The server does not answer. Start “fastmlp playground” again, and then try again.");
  }
  if (answer.status === 404 && path.includes("/sessions/")) throw new SessionEnded(found.error);
  if (answer.status === 503) throw new Passing(found.error);
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function post(path, given) {
  return ask(path, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify(given),
  });
}

export const catalogue = () => ask("api/catalogue");
export const openSession = (settings) => post("api/sessions", settings);
export const run = (key, epochs, known) => post(`api/sessions/${key}/run`, {epochs, known});
export const show = (key, epoch, known) => post(`api/sessions/${key}/show`, {epoch, known});
export const code = (key, epoch) => post(`api/sessions/${key}/code`, {epoch});
export const table = (key) => post(`api/sessions/${key}/table`, {});
export const point = (key, epoch, place) => post(`api/sessions/${key}/point`, {epoch, place});
export const describeTable = (text) =>
  ask("api/table", {method: "POST", headers: {"Content-Type": "text/csv"}, body: text});

// This is also called when the page closes, where nobody waits for the answer.
export function endSession(key) {
  return fetch(`api/sessions/${key}/end`, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: "{}",
    keepalive: true,
  }).catch(() => {});
}
