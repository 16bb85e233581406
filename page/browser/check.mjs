// What page/browser/test.sh checks in Chromium: node check.mjs http://127.0.0.1:PORT FOLDER
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [base, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const failures = [];
const check = (what, ok, found = "") => {
  console.log(`${ok ? "ok  " : "FAIL"} ${what}${ok ? "" : ": " + found}`);
  if (!ok) failures.push(what);
};
const post = async (path, fields) => (await fetch(base + path, { method: "POST", body: new URLSearchParams(fields) })).json();
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1000 }, ...options });
  const page = await context.newPage();
  page.noise = [];
  page.foreign = [];
  page.files = new Set();
  page.on("console", (m) => page.noise.push(m.text()));
  page.on("pageerror", (e) => page.noise.push(String(e)));
  page.on("request", (r) => { (r.url().startsWith(base) ? page.files.add(r.url()) : page.foreign.push(r.url())); });
  await page.goto(base + "/");
  await page.waitForSelector("#gpus tbody tr .state[data-state]");
  return page;
}

async function accessible(page, what) {
  // The page's policy lets no script in but its own: axe goes in by the debugger.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  check(`axe: ${what}`, violations.length === 0, JSON.stringify(violations.map((v) => [v.id, v.nodes.map((n) => n.target + ": " + n.failureSummary)]), null, 1));
}

const wide = (page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
const number = (text) => Number(text.replace(/[^\d.]/g, ""));

// The chart shows the simulated load: its last point is what the daemon says, and it stands at that height.
const page = await open();
await sleep(6500);
let now, said;
for (let i = 0; i < 20 && !(Math.abs(now - said) < 0.01 * said); i++) { // a reading may come between the two
  const { gpus } = await (await fetch(base + "/v1/gpus")).json();
  said = gpus.reduce((sum, g) => sum + (g.latest.instant_power_w ?? g.latest.power_w), 0);
  await sleep(150);
  now = number(await page.textContent("#now"));
}
check("power now is what /v1/gpus says", Math.abs(now - said) < 0.01 * said && said > 1000, `${now} and ${said}`);
const [trace, written] = await page.evaluate(() => [document.getElementById("trace").getAttribute("d"), document.getElementById("now").textContent]);
check("the chart has a point for each second", (trace.match(/[ML]/g) ?? []).length >= 6, trace);
const ys = [...trace.matchAll(/ ([\d.]+)/g)].map((m) => Number(m[1]));
const axis = await page.$$eval("#chart .tick", (ticks) => ticks.filter((t) => t.getAttribute("text-anchor") === "end" && /^[\d\u202f]+$/.test(t.textContent)).map((t) => [Number(t.textContent.replace(/\D/g, "")), Number(t.getAttribute("y")) - 4]));
const [zero, top] = [axis[0], axis.at(-1)];
const drawn = ((zero[1] - ys.at(-1)) / (zero[1] - top[1])) * top[0];
check("the axis begins at zero", zero[0] === 0, String(axis));
check("the line stands at the power that is written", Math.abs(drawn - number(written)) < 0.02 * number(written), `${drawn} and ${written}`);
check("the limits are a line", (await page.textContent("#chart .limit-text")).includes("5\u202f600"));
check("energy per output token", Math.abs(number(await page.textContent("#jpt")) * 2000 / number(await page.textContent("#mean")) - 1) < 0.05 && (await page.isVisible("#token-box")), await page.textContent("#jpt"));
check("text alternative", /lowest .* highest/.test(await page.textContent("#chart-text")));

// A window marked over HTTP appears, with a name that is text and nothing else.
await post("/v1/mark-start", { run: "prefill-c64" });
await page.waitForSelector('#runs tr[data-run="prefill-c64"] [data-state="open"]');
await post("/v1/mark-start", { run: "decode-c64" });
await sleep(4000);
await post("/v1/mark-end", { run: "prefill-c64", completed: 64, total_input_tokens: 65536, total_output_tokens: 8192 });
await page.waitForSelector('#runs tr[data-run="prefill-c64"] [data-state="good"]');
check("a window marked over HTTP appears", (await page.textContent('#runs tr[data-run="prefill-c64"]')).includes("valid"));
check("its band is on the chart", (await page.$$("#chart .band")).length >= 2);
check("it is announced", /prefill-c64: valid/.test(await page.textContent("#news")), await page.textContent("#news"));
check("energy has its bound", /±/.test(await page.textContent('#runs tr[data-run="prefill-c64"]')));

// A lost GPU is visible: in its row, in the health, in the total, in the window's verdict.
await page.waitForFunction(() => document.querySelector('#gpus [data-state="bad"]'), null, { timeout: 150000 });
check("a lost GPU is visible in its row", (await page.textContent('#gpus tr:has([data-state="bad"])')).includes("GPU 5"));
await page.waitForFunction(() => document.getElementById("health").dataset.state === "bad", null, { timeout: 20000 });
check("the health says so", (await page.textContent("#health")) === "not ready" && (await page.textContent("#problems")).includes("GPU 5"));
check("there is no total then", (await page.textContent("#now")) === "–", await page.textContent("#now"));
await sleep(4000);
await post("/v1/mark-end", { run: "decode-c64" });
await page.waitForSelector('#runs tr[data-run="decode-c64"] [data-state="bad"]');
check("the reason is there in words", /hung or was lost/.test(await page.textContent('#runs tr[data-run="decode-c64"]')));

await accessible(page, "light");
await page.screenshot({ path: `${folder}/light.png`, fullPage: true });

// Keyboard alone: read off a moment, choose a span, pause.
await page.focus("#cursor");
for (let i = 0; i < 5; i++) await page.keyboard.press("PageDown");
check("the keyboard reads off a moment", /^\d\d:\d\d:\d\d/.test(await page.getAttribute("#cursor", "aria-valuetext")));
await page.focus('[name=span][value="300"]');
await page.keyboard.press("ArrowLeft");
await page.waitForFunction(() => document.querySelector('[name=span][value="120"]').checked);
await sleep(1500);
await page.screenshot({ path: `${folder}/span.png` });
await page.focus("#pause");
await page.keyboard.press("Space");
const held = await page.getAttribute("#trace", "d");
await sleep(2500);
check("pause holds the picture", held === (await page.getAttribute("#trace", "d")) && (await page.textContent("#health")) === "paused");
await page.keyboard.press("Space");
await page.waitForFunction((old) => document.getElementById("trace").getAttribute("d") !== old, held);

check("no console output", page.noise.length === 0, page.noise.join("\n"));
check("nothing from elsewhere", page.foreign.length === 0, page.foreign.join());
let bytes = 0;
for (const url of page.files) if (!url.includes("/v1/")) bytes += (await (await fetch(url)).arrayBuffer()).byteLength;
check(`under 150 kB: ${page.files.size - 1} files, ${bytes} bytes`, bytes > 10000 && bytes < 150000);
check("no horizontal scroll at 1280", !(await wide(page)));
await page.close();

const dark = await open({ colorScheme: "dark" });
await sleep(1500);
await accessible(dark, "dark");
await dark.screenshot({ path: `${folder}/dark.png`, fullPage: true });
check("no console output, dark", dark.noise.length === 0, dark.noise.join("\n"));
await dark.close();

const phone = await open({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
await sleep(1500);
check("no horizontal scroll at 360", !(await wide(phone)), String(await phone.evaluate(() => [document.documentElement.scrollWidth, [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > 361).map((e) => e.tagName + "." + e.className + "#" + e.id).join(" ")])));
await accessible(phone, "phone");
await phone.screenshot({ path: `${folder}/phone.png`, fullPage: true });
check("no console output, phone", phone.noise.length === 0, phone.noise.join("\n"));
await phone.close();

// The reports that the page links to: from a file, for the daemon serves them in a sandbox.
for (const [what, options, width] of [["report", {}, 1280], ["report, dark, phone", { colorScheme: "dark" }, 360]]) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, ...options });
  const report = await context.newPage();
  const noise = [];
  report.on("console", (m) => noise.push(m.text()));
  writeFileSync(`${folder}/report.html`, await (await fetch(base + "/v1/windows/prefill-c64/report")).text());
  await report.goto(pathToFileURL(`${folder}/report.html`).href);
  await accessible(report, what);
  check(`no horizontal scroll, ${what}`, !(await wide(report)));
  check(`no console output, ${what}`, noise.length === 0, noise.join("\n"));
  await report.screenshot({ path: `${folder}/report-${width}.png`, fullPage: true });
  await context.close();
}

const still = await open({ forcedColors: "active" });
await accessible(still, "forced colours");
await still.close();
await browser.close();
if (failures.length) { console.error(`${failures.length} failed`); process.exit(1); }
