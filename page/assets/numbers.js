// How numbers are written: the unit said, and no more digits than the uncertainty bears.

const thousands = (text) => {
  const [whole, part] = text.split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") + (part ? "." + part : "");
};

// places is how many decimals show two digits of the bound.
const places = (bound) => (bound > 0 ? Math.min(9, Math.max(0, 1 - Math.floor(Math.log10(bound)))) : 0);

export const digits = (x, bound) => thousands(x.toFixed(places(bound)));

export const watts = (x, bound) => (bound === undefined || bound === null ? thousands(x.toFixed(Math.abs(x) < 10 && x % 1 ? 1 : 0)) : digits(x, Math.max(bound, 0.1)));

// energy is in joules, kilojoules or megajoules; bound is in the same unit.
export function energy(joules, bound) {
  if (joules === null) return null;
  const [unit, scale] = joules >= 1e8 ? ["MJ", 1e6] : joules >= 1e5 ? ["kJ", 1e3] : ["J", 1];
  const b = (bound ?? 0) / scale;
  return { value: digits(joules / scale, b || 0.1), unit, bound: bound === null ? "?" : digits(b, b) };
}

// token is joules per token: four digits, or as many as the bound bears.
export const token = (x, bound) => (bound > 0 ? x.toFixed(places(bound)) : x > 0 ? Number(x.toPrecision(4)).toString() : "0");

export function seconds(s) {
  if (s >= 120) return `${Math.round(s / 60)} min`;
  return s >= 1 ? `${Number(s.toPrecision(3))} s` : `${Math.round(s * 1000)} ms`;
}

const two = (n) => String(n).padStart(2, "0");

export function clock(unix, withSeconds) {
  const d = new Date(unix * 1000);
  return `${two(d.getHours())}:${two(d.getMinutes())}${withSeconds ? ":" + two(d.getSeconds()) : ""}`;
}
