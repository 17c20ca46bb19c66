// What only the owner of a model may read. The key stays in this tab's session storage and in the header of requests;
// what comes back is put into the page as text, never as HTML.
const STORED = "key";
const FAILURES = "forecasts?failed=true";
const LOG = "log?lines=200";

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(model, what) {
  const answer = await fetch(`/private/models/${encodeURIComponent(model)}/${what}`, {
    headers: { Authorization: `Bearer ${sessionStorage.getItem(STORED)}` },
    cache: "no-store",
  });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.message || `The server answered ${answer.status}.`);
}

function words(error) {
  return error instanceof Refused ? error.message : "The server does not answer; try again.";
}

function make(name, text, ...parts) {
  const one = document.createElement(name);
  if (text !== null) one.textContent = text;
  one.append(...parts);
  return one;
}

function boxed(label, content) {
  const box = make("div", null, content);
  box.className = "box";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", label);
  return box;
}

function moment(iso) {
  return iso.slice(0, 19).replace("T", " ");
}

async function explain(model, row, shown) {
  const asked = new URLSearchParams({ at: row.performed_at, config: row.prediction_config_id });
  shown.textContent = "…";
  try {
    const found = await (await ask(model, `explain?${asked}`)).json();
    const outcomes = found.cycles.map((one) => one.outcome);
    shown.textContent = [...outcomes, JSON.stringify(found, null, 2)].join("\n\n");
  } catch (error) {
    shown.textContent = words(error);
  }
  shown.focus();
}

function failures(model, rows, shown) {
  const head = ["Instant, UTC", "Scope", "Answer", "Why it failed"].map((text) => {
    const cell = make("th", text);
    cell.scope = "col";
    return cell;
  });
  const lines = rows.map((row) => {
    const button = make("button", moment(row.performed_at));
    button.type = "button";
    button.className = "action";
    button.setAttribute("aria-label", `Explain ${moment(row.performed_at)} UTC, ${row.scope_key}`);
    button.addEventListener("click", () => explain(model, row, shown));
    const first = make("th", null, button);
    first.scope = "row";
    const why = make("td", row.reason || row.score_failed_reason || "");
    why.className = "why";
    return make("tr", null, first, make("td", row.scope_key), make("td", row.status), why);
  });
  const table = make("table", null, make("thead", null, make("tr", null, ...head)), make("tbody", null, ...lines));
  table.className = "newest";
  const box = boxed("Failures", table);
  box.classList.add("tall");
  return box;
}

async function show(model, root) {
  const rows = await (await ask(model, FAILURES)).json();
  const shown = make("pre", rows.length ? "Choose an instant above." : "");
  shown.tabIndex = 0;
  shown.setAttribute("role", "region");
  shown.setAttribute("aria-label", "How the chosen score came about");
  // That there is no log is no reason to hide the failures.
  const log = await ask(model, LOG).then((answer) => answer.text(), (error) => error.message);
  const printed = make("pre", log);
  printed.tabIndex = 0;
  printed.setAttribute("role", "region");
  printed.setAttribute("aria-label", "The model's log");
  const none = make("p", "None of its newest forecasts has failed.");
  root.replaceChildren(
    make("h3", "Failures"),
    ...(rows.length ? [failures(model, rows, shown), make("h3", "How the score came about"), shown] : [none]),
    make("h3", "Log"),
    printed,
  );
}

export function askWithKey(root) {
  const form = root.getElementById("key-form");
  if (!form) return;
  const model = root.getElementById("main").dataset.model;
  const [input, forget] = [form.elements.key, root.getElementById("forget")];
  const [said, shown] = [root.getElementById("key-said"), root.getElementById("private")];
  form.hidden = false;
  // A key that is refused is forgotten. For a rival's model, or from a server that is away, it only has nothing to show.
  const load = async (byHand) => {
    said.textContent = "";
    try {
      await show(model, shown);
    } catch (error) {
      shown.replaceChildren();
      if (error.status === 401) sessionStorage.removeItem(STORED);
      if (error.status !== 404 || byHand) said.textContent = words(error);
    }
    forget.hidden = sessionStorage.getItem(STORED) === null;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(STORED, input.value.trim());
    input.value = "";
    load(true);
  });
  forget.addEventListener("click", () => {
    sessionStorage.removeItem(STORED);
    shown.replaceChildren();
    said.textContent = "";
    forget.hidden = true;
    input.focus();
  });
  if (sessionStorage.getItem(STORED)) load(false);
}
