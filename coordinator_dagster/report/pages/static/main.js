// Every page: the clock, what refreshes while it is open, and what its parts can do.
import { drawCharts } from "./charts.js";
import { askWithKey } from "./key.js";
import { enhanceTables, keepPlace } from "./table.js";

const POLL_MS = 5000;
const LONGEST_MS = 15000;
const main = document.getElementById("main");
const connection = document.getElementById("connection");
let ahead = 0; // the server's clock less ours, in milliseconds
let next = null; // the next instant
let cadence = null;
let polling = null;

function enhance() {
  enhanceTables(document);
  drawCharts(document);
}

function tick() {
  const now = Date.now() + ahead;
  document.getElementById("utc").textContent = new Date(now).toISOString().slice(11, 19);
  const shown = document.getElementById("countdown");
  if (!shown || next === null) return;
  const left = Math.max(0, next - now);
  const seconds = Math.ceil(left / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const [first, ...rest] = parts[0] ? parts : parts.slice(1);
  shown.textContent = left === 0 ? "now" : `in ${[first, ...rest.map((one) => String(one).padStart(2, "0"))].join(":")}`;
  document.getElementById("cadence").value = cadence ? 1 - Math.min(1, left / (1000 * cadence)) : 0;
}

function say(text) {
  document.getElementById("said").textContent = text;
}

// Who listens is told of what is overdue: its element stays, and its text is changed only when it is another.
function tellLast(found) {
  const [last, overdue] = [document.getElementById("last"), document.getElementById("overdue")];
  if (!last) return;
  if (found.last_instant) last.textContent = `${found.last_instant.slice(0, 19).replace("T", " ")} UTC`;
  const text = found.overdue ? overdue.dataset.text : "";
  if (overdue.textContent !== text) overdue.textContent = text;
}

function away(text) {
  if (connection.hidden || connection.textContent !== text) connection.textContent = text;
  connection.hidden = text === "";
}

async function ask(address) {
  const answer = await fetch(address, { signal: AbortSignal.timeout(LONGEST_MS), cache: "no-cache" });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer;
}

// The parts of the page that change, from the same page fetched again; where somebody was in them is kept.
async function refresh(moment) {
  const fresh = new DOMParser().parseFromString(await (await ask(location.href)).text(), "text/html");
  const put = keepPlace(document);
  for (const part of document.querySelectorAll("[data-swap]")) {
    const other = fresh.getElementById(part.id);
    if (other) part.replaceWith(document.adoptNode(other));
  }
  main.dataset.stamp = fresh.getElementById("main").dataset.stamp;
  enhance();
  put();
  say(`${main.dataset.updated} at ${moment.slice(11, 19)} UTC`);
}

async function poll() {
  clearTimeout(polling);
  if (document.hidden) return;
  try {
    const sent = Date.now();
    const found = await (await ask("/clock")).json();
    ahead = Date.parse(found.now) - (sent + Date.now()) / 2;
    next = found.next_instant && Date.parse(found.next_instant);
    cadence = found.cadence_seconds;
    tellLast(found);
    document.querySelector(".clock").classList.remove("waiting");
    if (main.dataset.status === "503") location.reload();
    else if ("stamp" in main.dataset && found[main.dataset.stampOf] !== main.dataset.stamp) await refresh(found.now);
    away("");
  } catch {
    away("The server does not answer. What is shown may be old; it is asked again every few seconds.");
  }
  polling = setTimeout(poll, POLL_MS);
}

enhance();
askWithKey(document);
setInterval(tick, 1000);
document.addEventListener("visibilitychange", poll);
poll().then(tick);
