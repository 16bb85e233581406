// The live page: it listens to one event stream and shows what that says. Texts from elsewhere (names of runs, models,
// errors) only ever become text nodes.

import { draw, shape, spark } from "./chart.js";
import { clock, digits, energy, seconds, token, watts } from "./numbers.js";

const $ = (id) => document.getElementById(id);
const state = { daemon: null, windows: [], more: 0, total: [], gpus: new Map(), now: 0, span: 300, cursor: null, verdicts: null };
let stream = null, drawn = 0, described = 0, missed = null;

function set(id, text) {
  const e = typeof id === "string" ? $(id) : id;
  if (e.textContent !== text) e.textContent = text;
}

function make(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// connect begins anew: the first power event brings the past along.
function connect() {
  stream?.close();
  stream = new EventSource(`v1/events?span_s=${state.span}`);
  stream.addEventListener("daemon", (e) => { state.daemon = JSON.parse(e.data); showDaemon(); });
  stream.addEventListener("windows", (e) => { ({ windows: state.windows, more: state.more } = JSON.parse(e.data)); showWindows(); });
  stream.addEventListener("power", (e) => { take(JSON.parse(e.data)); showPower(); });
  stream.onerror = () => { missed ??= Date.now(); health(); if (stream.readyState === EventSource.CLOSED) setTimeout(() => !paused() && connect(), 5000); };
}

const paused = () => $("pause").getAttribute("aria-pressed") === "true";

function take(e) {
  missed = null;
  state.now = e.unix;
  state.mean = e.mean;
  state.live = e.live;
  if (e.fresh) { state.total = []; state.gpus.clear(); }
  const oldest = e.unix - state.span - 10;
  const append = (list, points) => { list.push(...points); while (list.length && list[0][0] < oldest) list.shift(); };
  append(state.total, e.total);
  for (const g of e.gpus) {
    const known = state.gpus.get(g.id) ?? { points: [] };
    append(known.points, g.points);
    state.gpus.set(g.id, { ...g, points: known.points });
  }
  health();
}

function health() {
  const d = state.daemon, pill = $("health");
  const [text, kind] = missed !== null ? [`no connection since ${clock(missed / 1000, true)}`, "bad"]
    : !d ? ["connecting", "wait"] : paused() ? ["paused", "wait"]
    : d.ready ? [`reading ${d.gpus.length} GPU${d.gpus.length === 1 ? "" : "s"} every ${seconds(d.interval_s)}`, "good"] : ["not ready", "bad"];
  set(pill, text);
  pill.dataset.state = kind;
}

function showDaemon() {
  const d = state.daemon;
  const models = [...new Set(d.gpus.map((g) => g.model))];
  set("where", [d.node || d.gpus[0]?.host, models.map((m) => `${d.gpus.filter((g) => g.model === m).length} × ${m}`).join(", ")].filter(Boolean).join(" · "));
  const problems = [...new Set([...d.reasons, ...d.backend.problems]), ...d.gpus.flatMap((g) => (g.problems ?? []).map((p) => `GPU ${g.index}: ${p}`))];
  if (d.gpus.some((g) => g.simulated)) problems.push("These GPUs are simulated: nothing here is a measurement.");
  $("problems").hidden = problems.length === 0;
  const same = [...$("problems").children].map((p) => p.textContent).join("\n") === problems.join("\n");
  if (!same) $("problems").replaceChildren(...problems.map((p) => make("p", "", p)));
  $("gpus").hidden = d.gpus.length === 0;
  $("no-gpus").hidden = d.gpus.length > 0;
  gpuRows();
  health();
}

const id = (g) => g.host + "/" + (g.uuid && g.vendor !== "amd" ? g.uuid : g.bus_id);
const methods = { counter: "energy counter", boxcar: "averaged power", trapezoid: "sampled power" };

function sensor(g) {
  const power = g.power_period_ns ? `mean of ${seconds(g.power_period_ns / 1e9)}` : "instantaneous";
  return `power sensor ${g.power_source}: ${power}` + (g.scope === "gpu" ? "" : `; covers ${g.scope.replace("_", " ")}`);
}

// gpuRows makes a row for each GPU; what moves in it is set by showPower.
function gpuRows() {
  const body = $("gpus").tBodies[0];
  const ids = state.daemon.gpus.map(id);
  if ([...body.rows].map((r) => r.dataset.id).join() !== ids.join()) {
    body.replaceChildren(...state.daemon.gpus.map((g) => {
      const row = make("tr");
      row.setAttribute("role", "row");
      row.dataset.id = id(g);
      for (const label of ["", "", "", "Temp.", "Busy", "Energy from", ""]) {
        const cell = make("td");
        cell.setAttribute("role", "cell");
        if (label) cell.dataset.label = label;
        row.append(cell);
      }
      for (const i of [1, 3, 4]) row.cells[i].classList.add("num");
      row.cells[0].append(make("b", "", `GPU ${g.index}`), make("span", "sub", g.bus_id));
      row.cells[1].append(make("b"), make("span", "unit", " W"), make("span", "sub"));
      row.cells[2].append(shape(row.cells[2], "svg", { class: "spark", role: "img" }));
      row.cells[5].append(make("span"), make("span", "sub"));
      row.cells[6].append(make("span", "state"), make("span", "sub"));
      return row;
    }));
  }
  state.daemon.gpus.forEach((g, i) => {
    const cell = body.rows[i].cells[5];
    set(cell.firstChild, methods[g.method] ?? "not known yet");
    set(cell.lastChild, [sensor(g), ...g.notes.map((n) => n.words)].join("; "));
  });
}

// begin is where the time axis begins: a daemon that has just started is not shown as a line at the far right.
function begin() {
  const first = Math.min(...[state.total, ...[...state.gpus.values()].map((g) => g.points)].map((list) => list[0]?.[0] ?? Infinity));
  return Math.max(state.now - state.span, Math.min(first, state.now - Math.min(60, state.span)));
}

function spans() {
  const from = begin();
  return state.windows
    .map((w) => ({ run: w.run, from: w.start_unix, to: w.end_unix ?? state.now, open: w.state === "open", state: w.state === "open" ? "open" : w.power_valid ? "good" : "bad" }))
    .filter((w) => w.to >= from && w.from <= state.now);
}

function showPower() {
  const d = state.daemon;
  if (!d) return;
  const latest = state.total.at(-1), powers = [...state.gpus.values()].map((g) => g.power_w);
  const all = powers.length && powers.every((p) => p !== null) ? powers.reduce((a, b) => a + b, 0) : null;
  const limits = d.gpus.map((g) => g.power_limit_w), limit = limits.length && limits.every((l) => l > 0) ? limits.reduce((a, b) => a + b, 0) : null;
  set("now", all === null ? "–" : watts(all));
  const known = powers.filter((p) => p !== null).length;
  set("share", all === null ? (powers.length ? `${known} of ${powers.length} GPUs can be read: ${watts(powers.reduce((a, b) => a + b, 0))} W` : "no GPU") : limit ? `${Math.round((100 * all) / limit)} % of ${watts(limit)} W` : "limit not known");
  const mean = state.mean;
  set("mean", mean.avg_total_gpu_power_w === null ? "–" : watts(mean.avg_total_gpu_power_w, mean.bound_w));
  set("mean-bound", mean.bound_w === null ? "not all GPUs were read" : `± ${digits(mean.bound_w, mean.bound_w)} W`);
  set("mean-span", mean.duration_s > 0 ? seconds(Math.round(mean.duration_s)) : "minute");
  showTokens();
  const gap = Math.max(3, 2 * d.interval_s), view = { from: begin(), to: state.now, windows: spans(), gap };
  state.scale = draw($("chart"), { ...view, points: state.total, limit, format: watts, clock });
  state.view = view;
  state.limit = limit;
  showCursor();
  for (const row of $("gpus").tBodies[0].rows) {
    const g = state.gpus.get(row.dataset.id), info = d.gpus.find((i) => id(i) === row.dataset.id);
    if (g && info) showGPU(row, g, info, view);
  }
  if (state.now - described > 10 || !described) describe(latest, limit);
}

function showTokens() {
  const live = state.live;
  $("token-box").hidden = !live;
  if (!live) return;
  set("jpt", live.joules_per_output_token === null ? "–" : token(live.joules_per_output_token));
  set("jpt-note", live.output_tokens_per_second === null ? live.detail : `${watts(live.output_tokens_per_second)} tokens/s, last ${seconds(Math.round(live.duration_s))}`);
}

function showGPU(row, g, info, view) {
  const [power, unit, share] = row.cells[1].children;
  set(power, g.power_w === null ? "–" : watts(g.power_w));
  unit.hidden = g.power_w === null;
  set(share, g.power_w !== null && info.power_limit_w > 0 ? `${Math.round((100 * g.power_w) / info.power_limit_w)} % of ${watts(info.power_limit_w)}` : "");
  const svg = row.cells[2].firstChild;
  spark(svg, { ...view, points: g.points, limit: info.power_limit_w });
  svg.setAttribute("aria-label", `Power of GPU ${info.index} over time, from 0 to ${info.power_limit_w ? watts(info.power_limit_w) + " W" : "its highest"}`);
  set(row.cells[3], g.temperature_c === null ? "–" : `${Math.round(g.temperature_c)} °C`);
  set(row.cells[4], g.utilization_ratio === null ? "–" : `${Math.round(100 * g.utilization_ratio)} %`);
  const [word, detail] = row.cells[6].children;
  const slow = g.throttle?.length ? `slowed by ${g.throttle.join(", ")}` : "";
  const lost = g.power_w === null;
  set(word, lost ? "no reading" : slow || "ok");
  word.dataset.state = lost ? "bad" : slow ? "wait" : "good";
  set(detail, lost ? [g.age_s < 1e6 ? `for ${seconds(Math.round(g.age_s))}` : "never", info.error].filter(Boolean).join(": ") : (info.error ?? ""));
}

// describe is the chart in words and as a table: not each second, for whoever has it read out.
function describe(latest, limit) {
  described = state.now;
  const seen = state.total.filter((p) => p[1] !== null && p[0] >= state.now - state.span);
  if (!seen.length) return set("chart-text", "No power of all GPUs at one time is known.");
  const values = seen.map((p) => p[1]);
  set("chart-text", `Power of all GPUs from ${clock(seen[0][0], true)} to ${clock(state.now, true)}: lowest ${watts(Math.min(...values))} watts, highest ${watts(Math.max(...values))}, at last ${latest[1] === null ? "not known" : watts(latest[1])}.`
    + (limit ? ` The limits add up to ${watts(limit)} watts.` : "") + spans().map((w) => ` Window ${w.run} from ${clock(w.from, true)} ${w.open ? "on" : "to " + clock(w.to, true)}.`).join(""));
  const rows = [];
  for (let t = state.now, step = state.span / 30; t > state.now - state.span && rows.length < 30; t -= step) {
    const p = state.total.findLast((q) => q[0] <= t);
    if (!p || p[0] < t - step) continue;
    const row = make("tr");
    row.append(make("td", "", clock(p[0], true)), make("td", "num", p[1] === null ? "–" : watts(p[1]) + " W"), make("td", "", inWindows(p[0])));
    rows.push(row);
  }
  $("values").tBodies[0].replaceChildren(...rows);
}

const inWindows = (t) => spans().filter((w) => w.from <= t && t <= w.to).map((w) => w.run).join(", ");

// showCursor marks a moment of the chart and says what was then.
function showCursor() {
  const { scale, view } = state, svg = $("chart");
  svg.querySelectorAll(".cursor-line, .cursor-dot").forEach((e) => e.remove());
  if (!scale) return;
  const share = state.cursor ?? 1, t = view.from + share * (view.to - view.from);
  let p = null;
  for (const q of state.total) if (!p || Math.abs(q[0] - t) < Math.abs(p[0] - t)) p = q;
  if (!p || (state.cursor !== null && Math.abs(p[0] - t) > view.gap)) p = state.cursor === null ? p : [t, null];
  if (!p) return set("readoff", "\u00a0");
  const runs = inWindows(p[0]);
  const text = `${clock(p[0], true)}  ${p[1] === null ? "no power of all GPUs" : watts(p[1]) + " W"}${runs ? "  in " + runs : ""}`;
  set("readoff", text);
  $("cursor").setAttribute("aria-valuetext", text);
  if (state.cursor === null) return;
  const x = Math.round(scale.x(p[0]));
  shape(svg, "line", { class: "cursor-line", x1: x, x2: x, y1: scale.top, y2: scale.bottom });
  if (p[1] !== null) shape(svg, "circle", { class: "cursor-dot", cx: x, cy: scale.y(p[1]), r: 3 });
}

function showWindows() {
  const body = $("runs").tBodies[0];
  $("runs").hidden = state.windows.length === 0;
  $("no-windows").hidden = state.windows.length > 0;
  $("more").hidden = state.more === 0;
  set("more", `${state.more} older ones are in /v1/windows.`);
  const open = state.windows.filter((w) => w.state === "open"), ended = state.windows.filter((w) => w.state === "ended");
  set("open", String(open.length));
  const bad = ended.filter((w) => !w.power_valid).length;
  set("ended", ended.length ? `${ended.length + state.more} ended` + (bad ? `, ${bad} not valid` : ", all valid") : "none ended");
  body.replaceChildren(...state.windows.map(windowRow));
  announce();
  if (state.now) showPower();
}

// announce says aloud what became of a window, once.
function announce() {
  const verdicts = new Map(state.windows.map((w) => [w.id, w.state === "open" ? "open" : w.power_valid ? "valid" : "not valid"]));
  if (state.verdicts) {
    const news = state.windows.filter((w) => state.verdicts.get(w.id) !== verdicts.get(w.id)).map((w) => `Window ${w.run}: ${verdicts.get(w.id)}.`);
    if (news.length) set("news", news.join(" "));
  }
  state.verdicts = verdicts;
}

function windowRow(w) {
  const row = make("tr");
  row.setAttribute("role", "row");
  row.dataset.run = w.run;
  const cell = (label, className, ...parts) => {
    const c = make("td", className);
    c.setAttribute("role", "cell");
    if (label) c.dataset.label = label;
    c.append(...parts);
    row.append(c);
  };
  const unit = (text, u) => [text, make("span", "unit", ` ${u}`)];
  const bound = (text) => make("span", "sub", text);
  const open = w.state === "open";
  const verdict = make("span", "verdict", open ? "open" : w.power_valid ? "valid" : "not valid");
  verdict.dataset.state = open ? "open" : w.power_valid ? "good" : "bad";
  const why = make("ul", "why");
  why.append(...[...w.reasons, ...w.notes].map((r) => make("li", "", r.words)));
  cell("", "name", name(w));
  cell("", "", verdict, ...(why.children.length ? [why] : []));
  cell("Start", "", clock(w.start_unix, true), bound(new Date(w.start_unix * 1000).toLocaleDateString("sv")));
  cell("Duration", "num", ...(w.duration_s === null ? ["–"] : unit(w.duration_s.toFixed(3), "s")), bound(`${w.gpus} GPU${w.gpus === 1 ? "" : "s"}`));
  const e = energy(w.total_gpu_energy_j, w.energy_bound_j);
  cell("Energy", "num", ...(e ? [...unit(e.value, e.unit), bound(`± ${e.bound}`)] : ["–"]));
  cell("Power", "num", ...(w.avg_total_gpu_power_w === null ? ["–"] : unit(watts(w.avg_total_gpu_power_w), "W")));
  const j = w.joules_per_output_token, b = w.joules_per_output_token_bound;
  cell("Per output token", "num", ...(j === null ? ["–"] : [...unit(token(j, b), "J"), ...(b === null ? [] : [bound(`± ${token(b, b)}`)])]));
  return row;
}

// name is the run; of an ended window it leads to its report.
function name(w) {
  if (w.state === "open") return w.run;
  const link = make("a", "", w.run);
  link.href = `v1/windows/${encodeURIComponent(w.run)}/report`;
  return link;
}

$("pause").addEventListener("click", () => {
  const now = !paused();
  $("pause").setAttribute("aria-pressed", String(now));
  if (now) stream.close(); else connect();
  health();
});
for (const radio of document.querySelectorAll("[name=span]")) {
  radio.addEventListener("change", () => { state.span = Number(radio.value); described = 0; if (!paused()) connect(); });
}
$("cursor").addEventListener("input", (e) => { state.cursor = e.target.value === "1000" ? null : e.target.value / 1000; showCursor(); });
$("chart").addEventListener("pointermove", (e) => {
  const { scale } = state;
  if (!scale) return;
  const share = (e.clientX - e.currentTarget.getBoundingClientRect().left - scale.left) / (scale.right - scale.left);
  state.cursor = share >= 1 ? null : Math.max(0, share);
  showCursor();
});
$("chart").addEventListener("pointerleave", () => { state.cursor = $("cursor").value === "1000" ? null : $("cursor").value / 1000; showCursor(); });
addEventListener("resize", () => { cancelAnimationFrame(drawn); drawn = requestAnimationFrame(showPower); });
document.addEventListener("visibilitychange", () => { // nobody looks: nothing is computed
  if (paused()) return;
  if (document.hidden) stream.close(); else connect();
});
connect();
