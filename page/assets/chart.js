// The charts: power over time, from zero, in SVG. Nothing here knows where the numbers come from.

const NS = "http://www.w3.org/2000/svg";

export function shape(parent, tag, attributes, text) {
  const e = document.createElementNS(NS, tag);
  for (const key in attributes) e.setAttribute(key, attributes[key]);
  if (text !== undefined) e.textContent = text;
  parent.append(e);
  return e;
}

// niceStep is 1, 2 or 5 times a power of ten, so that at most n steps make up the range.
export function niceStep(range, n) {
  const raw = range / n, power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].find((m) => m * power >= raw) * power;
}

const timeSteps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800];

// path draws a line through the points, broken where there is no value or where readings are further apart than gap.
export function paths(points, x, y, gap, floor) {
  let line = "", area = "", last = null, first = 0;
  const close = () => { if (last) area += `L${x(last[0]).toFixed(1)} ${floor}L${first} ${floor}Z`; };
  for (const p of points) {
    if (p[1] === null) { close(); last = null; continue; }
    const px = x(p[0]).toFixed(1), py = y(p[1]).toFixed(1);
    if (last && p[0] - last[0] <= gap) {
      line += `L${px} ${py}`;
      area += `L${px} ${py}`;
    } else {
      close();
      first = px;
      line += `M${px} ${py}h.01`;
      area += `M${px} ${py}`;
    }
    last = p;
  }
  close();
  return { line, area };
}

// lanes puts windows that overlap above each other; the newest get a place first.
export function lanes(windows, most) {
  const ends = [];
  const placed = [];
  for (const w of [...windows].sort((a, b) => a.from - b.from)) {
    let lane = ends.findIndex((end) => end <= w.from);
    if (lane < 0) lane = ends.length;
    if (lane >= most) continue;
    ends[lane] = w.to;
    placed.push({ ...w, lane });
  }
  for (const w of placed) w.until = placed.reduce((t, o) => (o.lane === w.lane && o.from > w.from ? Math.min(t, o.from) : t), Infinity);
  return placed; // until: where the next of the same lane begins
}

// draw makes the large chart anew. It returns how a time maps to the screen.
export function draw(svg, { from, to, points, limit, windows, gap, format, clock }) {
  const box = svg.getBoundingClientRect();
  const width = Math.max(box.width, 200), height = Math.max(box.height, 120);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const laid = lanes(windows, 4);
  const laneHeight = 20, rows = laid.reduce((n, w) => Math.max(n, w.lane + 1), 0);
  const left = 56, right = width - 14, top = 12 + rows * laneHeight, bottom = height - 26;
  const highest = points.reduce((m, p) => Math.max(m, p[1] ?? 0), 0);
  const step = niceStep(Math.max(highest, limit ?? 0, 10) * 1.04, 5);
  const most = Math.ceil((Math.max(highest, limit ?? 0, 10) * 1.02) / step) * step;
  const x = (t) => left + ((t - from) / (to - from)) * (right - left);
  const y = (w) => bottom - (w / most) * (bottom - top);

  for (let w = 0; w <= most + 1e-9; w += step) {
    const at = Math.round(y(w));
    shape(svg, "line", { class: w === 0 ? "axis" : "grid", x1: left, x2: right, y1: at, y2: at });
    shape(svg, "text", { class: "tick", x: left - 8, y: at + 4, "text-anchor": "end" }, format(w));
  }
  shape(svg, "text", { class: "tick", x: left - 8, y: bottom + 18, "text-anchor": "end" }, "W");
  const every = timeSteps.find((s) => ((to - from) / s) * 76 <= right - left) ?? 3600;
  const zone = new Date(to * 1000).getTimezoneOffset() * 60;
  for (let t = Math.ceil((from - zone) / every) * every + zone; t <= to; t += every) {
    const at = Math.round(x(t));
    shape(svg, "line", { class: "axis", x1: at, x2: at, y1: bottom, y2: bottom + 4 });
    shape(svg, "text", { class: "tick", x: at, y: bottom + 18, "text-anchor": at > right - 30 ? "end" : at < left + 30 ? "start" : "middle" }, clock(t, every < 60));
  }

  const clip = (t) => Math.min(right, Math.max(left, x(t)));
  for (const w of laid) {
    const a = clip(w.from), b = Math.max(clip(w.to), a + 1), row = 6 + (rows - 1 - w.lane) * laneHeight;
    shape(svg, "rect", { class: "band", x: a, y: top, width: b - a, height: bottom - top });
    for (const [t, at] of [[w.from, a], [w.to, b]]) {
      if (t >= from && t <= to && !(w.open && t === w.to)) {
        shape(svg, "line", { class: "mark", x1: Math.round(at), x2: Math.round(at), y1: row + 13, y2: bottom });
      }
    }
    const bar = shape(svg, "rect", { class: "lane", "data-state": w.state, x: a, y: row + 13, width: b - a, height: 3 });
    shape(bar, "title", {}, w.run);
    const end = clip(w.until) - a < 40 ? b : clip(w.until); // the name may go on to where the next begins
    const letters = Math.floor((end - a - 4) / 7);
    if (letters >= 3) {
      shape(svg, "text", { class: "lane-text", x: a + 1, y: row + 9 }, w.run.length > letters ? w.run.slice(0, letters - 1) + "…" : w.run);
    }
  }

  const { line, area } = paths(points, x, y, gap, bottom);
  shape(svg, "path", { class: "area", d: area || "M0 0" });
  shape(svg, "path", { class: "trace", id: "trace", d: line || "M0 0" });
  if (limit) {
    shape(svg, "line", { class: "limit", x1: left, x2: right, y1: y(limit), y2: y(limit) });
    shape(svg, "text", { class: "limit-text", x: right, y: y(limit) - 5, "text-anchor": "end" }, `limit ${format(limit)} W`);
  }
  return { x, y, left, right, top, bottom };
}

// spark makes the small chart of one GPU: the same times, from 0 to its limit.
export function spark(svg, { from, to, points, limit, windows, gap }) {
  const box = svg.getBoundingClientRect();
  const width = Math.max(box.width, 60), height = Math.max(box.height, 20);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const highest = points.reduce((m, p) => Math.max(m, p[1] ?? 0), 0);
  const most = Math.max(limit ?? 0, highest, 1) * 1.05;
  const x = (t) => ((t - from) / (to - from)) * width;
  const y = (w) => height - 1 - (w / most) * (height - 2);
  for (const w of windows) {
    const a = Math.max(0, x(w.from)), b = Math.min(width, x(w.to));
    if (b > a) shape(svg, "rect", { class: "band", x: a, y: 0, width: b - a, height });
  }
  shape(svg, "line", { class: "grid", x1: 0, x2: width, y1: height - 1, y2: height - 1 });
  if (limit) shape(svg, "line", { class: "limit", x1: 0, x2: width, y1: y(limit), y2: y(limit) });
  const { line, area } = paths(points, x, y, gap, height - 1);
  shape(svg, "path", { class: "area", d: area || "M0 0" });
  shape(svg, "path", { class: "trace", d: line || "M0 0" });
}
