// Tables that sort by their headers and are filtered by name. What was chosen holds when a table is replaced.
const OTHER = { ascending: "descending", descending: "ascending" };
const { compare } = new Intl.Collator(undefined, { numeric: true });
const chosen = { key: null, direction: null, text: "" };

function value(row, index, text) {
  const cell = row.cells[index];
  if (text) return cell.textContent.trim().toLocaleLowerCase() || null;
  return "v" in cell.dataset ? Number(cell.dataset.v) : null;
}

// Stable: who is equal stays in the server's order. Who has no value comes last, in both directions.
function sort(table, header, direction) {
  const body = table.tBodies[0];
  const index = header.cellIndex;
  const text = !header.classList.contains("n");
  const sign = direction === "ascending" ? 1 : -1;
  const rows = table.served.map((row) => [value(row, index, text), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (text ? compare(a, b) : a - b);
  });
  body.replaceChildren(...rows.map(([, row]) => row));
  for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
}

function choose(table, header) {
  const now = header.getAttribute("aria-sort");
  chosen.key = header.dataset.key;
  chosen.direction = now ? OTHER[now] : header.dataset.first || "descending";
  sort(table, header, chosen.direction);
}

function filter(table) {
  const wanted = chosen.text.toLocaleLowerCase();
  let shown = 0;
  for (const row of table.served) {
    row.hidden = !row.dataset.names.includes(wanted);
    shown += !row.hidden;
  }
  return shown;
}

function offerFilter(root, table) {
  const box = root.querySelector(".filter");
  if (!box) return;
  const input = box.querySelector("input");
  for (const row of table.served) {
    row.dataset.names = `${row.cells[2].textContent} ${row.cells[3].textContent}`.toLocaleLowerCase();
  }
  box.classList.remove("waiting");
  input.value = chosen.text;
  input.addEventListener("input", () => {
    chosen.text = input.value.trim();
    const shown = filter(table);
    document.getElementById("said").textContent = `${shown} of ${table.served.length} models`;
  });
  if (chosen.text) filter(table);
}

function upgrade(table) {
  table.served = [...table.tBodies[0].rows];
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => choose(table, header));
    header.append(button);
  }
  const header = [...table.tHead.rows[0].cells].find((one) => one.dataset.key === chosen.key);
  if (header) sort(table, header, chosen.direction);
}

export function enhanceTables(root) {
  for (const table of root.querySelectorAll("table[data-sortable]")) {
    if (table.served) continue;
    upgrade(table);
    offerFilter(root, table);
  }
}

// Where the focus is, and how far boxes are scrolled; the function that is returned puts it back.
export function keepPlace(root) {
  const focus = root.activeElement;
  const key = focus?.closest("th[data-key]")?.dataset.key;
  const id = focus?.closest("tr[data-id]")?.dataset.id;
  const own = focus?.id;
  const selection = focus?.tagName === "INPUT" ? [focus.selectionStart, focus.selectionEnd] : null;
  const before = [...root.querySelectorAll(".box")];
  const scrolled = before.map((box) => [box.scrollLeft, box.scrollTop]);
  const inBox = before.indexOf(focus);
  const opened = [...root.querySelectorAll("[data-swap] details")].map((one) => one.open);
  const [x, y] = [scrollX, scrollY];
  return () => {
    [...root.querySelectorAll("[data-swap] details")].forEach((one, place) => (one.open = opened[place] ?? false));
    const boxes = [...root.querySelectorAll(".box")];
    boxes.forEach((box, place) => ([box.scrollLeft, box.scrollTop] = scrolled[place] ?? [0, 0]));
    scrollTo(x, y);
    let target = null;
    if (key) target = root.querySelector(`th[data-key="${CSS.escape(key)}"] button`);
    else if (id) target = root.querySelector(`tr[data-id="${CSS.escape(id)}"] a, tr[data-id="${CSS.escape(id)}"] button`);
    else if (inBox >= 0) target = boxes[inBox];
    else if (own && own !== "main") target = root.getElementById(own);
    target?.focus({ preventScroll: true });
    if (selection && target) target.setSelectionRange(...selection);
  };
}
