// Draws each chart from the table of its numbers, by uPlot (a global of its own script). Times are UTC.
const HEIGHT = 230;
const NARROW = 480;
const THICKER = 1.3; // pixels by which a line is wider than the one drawn over it
const MAX_DOTS = 60; // above, the points of a line say nothing more
const drawn = new Map(); // the plots by their figure

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function numbers(table) {
  const columns = [...table.tHead.rows[0].cells].map(() => []);
  for (const row of table.tBodies[0].rows) {
    columns[0].push(Date.parse(row.querySelector("time").dateTime) / 1000);
    for (let place = 1; place < row.cells.length; place++) {
      const text = row.cells[place].textContent.replace("−", "-");
      columns[place].push(text === "–" ? null : Number(text));
    }
  }
  return columns;
}

function line(figure, name, place, last, count) {
  const marked = figure.dataset.marked === name;
  const stroke = colour(marked ? "--quiet" : `--s${(place % 4) + 1}`);
  const dots = "dots" in figure.dataset;
  return {
    label: name,
    stroke: dots ? "transparent" : stroke,
    width: figure.dataset.marked ? (marked ? 1 : 1.8) : 1.6 + THICKER * (last - place), // of equal lines all are seen
    points: { show: dots || count <= MAX_DOTS, size: dots ? 4 : 5, stroke, fill: stroke, width: 0 },
    value: (_, value) => (value === null ? "–" : value.toLocaleString("en", { maximumFractionDigits: 3 })),
  };
}

function axis(extra) {
  const rule = { stroke: colour("--rule"), width: 1 };
  return { stroke: colour("--quiet"), grid: rule, ticks: { ...rule, size: 4 }, font: "12px system-ui, sans-serif", ...extra };
}

function options(figure, names, count) {
  const width = figure.querySelector(".plot").clientWidth;
  return {
    width,
    height: width < NARROW ? HEIGHT - 40 : HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    cursor: { drag: { x: true, y: false } },
    legend: { live: true },
    series: [
      { label: "UTC", value: (_, value) => (value ? new Date(value * 1000).toISOString().slice(0, 16).replace("T", " ") : "–") },
      ...names.map((name, place) => line(figure, name, place, names.length - 1, count)),
    ],
    axes: [
      axis({ space: 70, values: [
        [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
        [3600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
        [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
        [1, "{HH}:{mm}:{ss}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
      ] }),
      axis({ size: 62, label: figure.dataset.unit, labelSize: 18, labelFont: "12px system-ui, sans-serif" }),
    ],
  };
}

function draw(figure) {
  const table = figure.querySelector("details table");
  const plot = figure.querySelector(".plot");
  if (!plot.clientWidth) return; // hidden: drawn when it is shown
  const names = [...table.tHead.rows[0].cells].slice(1).map((one) => one.textContent);
  const data = numbers(table);
  drawn.get(figure)?.destroy();
  drawn.set(figure, new uPlot(options(figure, names, data[0].length), data, plot));
}

function drawAll() {
  for (const figure of document.querySelectorAll("figure[data-chart]")) draw(figure);
}

// Several scopes: one at a time, by choice.
let chosen = null;

function offerScopes(root) {
  const card = root.querySelector("[data-scopes]");
  const scopes = card ? [...card.querySelectorAll("[data-scope]")] : [];
  if (scopes.length < 2) return;
  const label = document.createElement("label");
  const select = document.createElement("select");
  select.id = "scope";
  label.append("Scope ", select);
  for (const one of scopes) {
    select.append(new Option(one.dataset.scope));
    one.querySelector("h3").hidden = true;
  }
  const show = () => {
    for (const one of scopes) one.hidden = one.dataset.scope !== select.value;
    chosen = select.value;
  };
  if (scopes.some((one) => one.dataset.scope === chosen)) select.value = chosen;
  select.addEventListener("change", () => {
    show();
    drawAll();
  });
  card.querySelector(".bar").append(label);
  show();
}

export function drawCharts(root) {
  for (const [figure, plot] of drawn) {
    if (figure.isConnected) continue;
    plot.destroy();
    drawn.delete(figure);
  }
  if (!root.querySelector("figure[data-chart]")) return;
  offerScopes(root);
  drawAll();
}

let resized = null;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(drawAll, 150);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
