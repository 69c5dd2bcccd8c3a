"use strict";
// Draws the timeline and the tables from the report in this page. What is shown is in the page's address, after the "#":
//   view=authorizations|runs|domains|hosts  verdict=  cause=  q=text  run=ID  domain=  host=  when=2026-11-23  sort=column  dir=asc|desc  page=1
// Text of the report is only ever put into text nodes, with what is not printable escaped.

const report = JSON.parse(document.getElementById("report").textContent);
const runs = new Map(report.runs.map(r => [r.id, r]));
const pageSize = 100;

const $ = id => document.getElementById(id);

// clean shows what would be invisible, or turn the text around it.
const clean = s => String(s).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, c => "\\u{" + c.codePointAt(0).toString(16) + "}");

function element(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  e.append(...children.map(c => typeof c === "string" ? clean(c) : c));
  return e;
}

const time = t => t ? t.slice(0, 19).replace("T", " ") : "";
const nameOf = a => a.identifier ? (a.wildcard ? "*." : "") + a.identifier : a.names.length ? "one of " + a.names.join(", ") : a.url;
const place = e => e.file + ":" + e.line + ": " + e.text;
const clientOf = r => (r.client + " " + r.version).trim();

// A column has a title, a value to sort by, and perhaps its own way to be shown and a class.
const column = (key, title, value, more = {}) => ({ key, title, value, ...more });
const badge = v => element("span", { class: "badge " + v.replace(" ", "-") }, v);

// groups is a view of authorizations that are counted together, and how to see those of one group.
const groups = (title, name, filter, rows) => ({
  title, rows, sort: "leaked", descending: true, counted: true,
  columns: [
    column("key", name, g => g.key || "(not told)", { class: "main" }),
    column("leaked", "Leaked", g => g.leaked, { class: "number" }),
    column("authorizations", "Of", g => g.authorizations, { class: "number" }),
    column("invalid", "Failed", g => g.invalid, { class: "number" }),
    column("first_seen", "First seen", g => g.first_seen || "", { show: g => time(g.first_seen), class: "time" }),
    column("last_seen", "Last seen", g => g.last_seen || "", { show: g => time(g.last_seen), class: "time" }),
  ],
  text: g => [g.key],
  keep: s => g => !s.verdict || s.verdict !== "leaked" || g.leaked > 0,
  detail: g => [["", element("a", { href: address({ view: "authorizations", [filter]: g.key, verdict: "all" }) }, "Its authorizations")]],
});

const views = {
  authorizations: {
    title: "Authorizations", rows: report.authorizations, sort: "first_seen", descending: true,
    columns: [
      column("identifier", "Name", nameOf, { class: "main" }),
      column("verdict", "Verdict", a => a.verdict, { show: a => badge(a.verdict), class: "short" }),
      column("cause", "Cause", a => a.cause, { class: "short" }),
      column("first_seen", "First seen", a => a.first_seen || "", { show: a => time(a.first_seen), class: "time" }),
      column("host", "Host", a => a.host),
      column("client", "Client", a => a.client),
      column("expires", "Expires", a => a.expires || "", { show: a => time(a.expires), class: "time" }),
    ],
    text: a => [nameOf(a), a.url, a.order, a.account, a.host, a.unit, a.client, a.file, a.status, a.cause, a.blame, ...a.evidence.map(place)],
    keep: s => a => (!s.verdict || s.verdict === "all" || a.verdict === s.verdict) && (!s.cause || a.cause === s.cause) &&
      (!s.run || a.run === s.run) && (!s.domain || a.domain === s.domain) && (!s.host || a.host === s.host) && (!s.when || (a.first_seen || "").startsWith(s.when)),
    detail: a => {
      const r = runs.get(a.run);
      return [["authorization", a.url], ["order", a.order], ["account", a.account], ["last status", a.status],
        ["answered", a.answered ? time(a.answered_at) || "yes" : "no"], ["last seen", time(a.last_seen)], ["failed first", a.blame],
        ["log", a.file], ["unit", a.unit], ["command", r && r.command], ...a.evidence.map(e => ["proof", place(e)])];
    },
  },
  runs: {
    title: "Runs", rows: report.runs, sort: "started", descending: true,
    columns: [
      column("started", "Started", r => r.started || r.last_seen || "", { show: r => time(r.started || r.last_seen) || "(no time)", class: "time main" }),
      column("host", "Host", r => r.host),
      column("client", "Client", clientOf, { class: "short" }),
      column("leaked", "Left", r => r.leaked, { class: "number" }),
      column("authorizations", "Of", r => r.authorizations, { class: "number" }),
      column("cause", "Cause", r => r.cause, { class: "short" }),
      column("ended", "Ended", r => r.has_ended ? r.exit || "well" : "it did not", { class: "short" }),
      column("command", "Command", r => r.command, { class: "long" }),
    ],
    text: r => [r.id, r.host, r.unit, clientOf(r), r.command, r.exit, r.message, r.cause],
    keep: s => r => (!s.cause || r.cause === s.cause) && (!s.run || r.id === s.run) && (!s.verdict || s.verdict !== "leaked" || r.leaked > 0) &&
      (!s.when || (r.started || r.last_seen || "").startsWith(s.when)),
    detail: r => [["first line", r.file + ":" + r.line], ["command", r.command], ["unit", r.unit], ["process", r.pid ? String(r.pid) : ""],
      ["ended", r.has_ended ? (time(r.ended) + " " + (r.exit || "well")).trim() : "it did not; last line " + time(r.last_seen)],
      [r.has_ended ? "message" : "last line", r.message],
      ["", element("a", { href: address({ view: "authorizations", run: r.id, verdict: "all" }) }, "Its authorizations")]],
  },
  domains: groups("Domains", "Domain", "domain", report.summary.domains),
  ...report.summary.hosts.length > 1 && { hosts: groups("Hosts", "Host", "host", report.summary.hosts) },
};

// state is what the address asks for; without anything, what leaked.
function state() {
  const s = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (location.hash.length < 2 && report.summary.verdicts.leaked > 0) s.verdict = "leaked";
  if (!Object.hasOwn(views, s.view)) s.view = "authorizations";
  return s;
}

function address(s) {
  const kept = Object.entries(s).filter(([, v]) => v !== "" && v != null);
  return "#" + new URLSearchParams(kept.length ? kept : [["verdict", "all"]]);
}

const go = change => { location.hash = address({ ...state(), page: "", ...change }); };

const compare = (a, b) => typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0;

// chosen returns the rows of a view that the state asks for, in its order.
function chosen(s) {
  const view = views[s.view];
  const words = (s.q || "").toLowerCase().split(/\s+/).filter(Boolean);
  const keep = view.keep(s);
  const matches = row => {
    if (!words.length) return true;
    const text = view.text(row).join("\n").toLowerCase();
    return words.every(w => text.includes(w));
  };
  const by = view.columns.find(c => c.key === s.sort) || view.columns.find(c => c.key === view.sort);
  const down = s.sort === by.key ? s.dir === "desc" : view.descending;
  const rows = view.rows.filter(row => keep(row) && matches(row)).map(row => [by.value(row), row]);
  rows.sort((a, b) => down ? compare(b[0], a[0]) : compare(a[0], b[0]));
  return { view, by, down, rows: rows.map(r => r[1]) };
}

function draw() {
  const s = state();
  const { view, by, down, rows } = chosen(s);
  drawViews(s);
  drawFilters(s);
  $("table").tHead.replaceChildren(element("tr", {}, ...view.columns.map(c => head(s, c, by, down))));
  const pages = Math.max(1, Math.ceil(rows.length / pageSize));
  const page = Math.min(Math.max(1, parseInt(s.page, 10) || 1), pages);
  const start = (page - 1) * pageSize;
  const body = $("table").tBodies[0];
  body.replaceChildren(...rows.slice(start, start + pageSize).map(row => line(view, row)));
  if (!rows.length) body.append(element("tr", {}, element("td", { colspan: view.columns.length, class: "none" }, "Nothing here fits.")));
  drawPages(s, rows.length, start, page, pages);
  drawTimeline(s);
}

function head(s, c, by, down) {
  const th = element("th", { scope: "col", class: (c.class || "").includes("number") ? "number" : "" });
  if (c === by) th.setAttribute("aria-sort", down ? "descending" : "ascending");
  const next = c === by ? !down : (c.class || "").match(/number|time/) !== null;
  th.append(element("a", { href: address({ ...s, page: "", sort: c.key, dir: next ? "desc" : "asc" }) }, c.title));
  return th;
}

// line is a row of a table; its details are made when it is opened.
function line(view, row) {
  const tr = element("tr", { class: "row" });
  view.columns.forEach((c, i) => {
    const shown = (c.show || c.value)(row);
    const td = element("td", { class: c.class || "", "data-name": c.title });
    const content = shown instanceof Node ? shown : String(shown);
    td.append(i === 0 ? element("button", { class: "open", type: "button", "aria-expanded": "false" }, content) :
      content instanceof Node ? content : clean(content));
    tr.append(td);
  });
  tr.addEventListener("click", event => {
    if (event.target.closest("a") || getSelection().toString()) return;
    const button = tr.querySelector("button");
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", open);
    if (open) tr.after(detail(view, row));
    else tr.nextSibling.remove();
  });
  return tr;
}

function detail(view, row) {
  const dl = element("dl");
  for (const [name, text] of view.detail(row)) {
    if (text) dl.append(element("dt", {}, name), element("dd", {}, text instanceof Node ? text : element("code", {}, text)));
  }
  return element("tr", { class: "detail" }, element("td", { colspan: view.columns.length }, dl));
}

function drawViews(s) {
  $("views").replaceChildren(...Object.entries(views).map(([key, v]) => {
    const a = element("a", { href: address({ view: key, verdict: s.verdict, cause: v.counted ? "" : s.cause, q: s.q }) }, v.title + " (" + v.rows.length + ")");
    if (key === s.view) a.setAttribute("aria-current", "page");
    return a;
  }));
}

function drawFilters(s) {
  const options = (select, all, values, value) => {
    select.replaceChildren(element("option", { value: all }, "all"), ...values.map(v => element("option", { value: v }, v)));
    select.value = value;
  };
  const counted = counts => Object.keys(counts).filter(k => counts[k] > 0);
  options($("verdict"), "all", counted(report.summary.verdicts), s.verdict || "all");
  options($("cause"), "", [...new Set(report.authorizations.map(a => a.cause).filter(Boolean))].sort(), s.cause || "");
  $("cause").disabled = views[s.view].counted === true;
  if (document.activeElement !== $("q")) $("q").value = s.q || "";
}

function drawPages(s, n, start, page, pages) {
  const chips = $("chips"), list = $("pages");
  chips.replaceChildren(n === 0 ? "none" : (start + 1) + " to " + Math.min(n, start + pageSize) + " of " + n);
  for (const key of ["run", "domain", "host", "when"]) {
    if (s[key]) chips.append(element("a", { href: address({ ...s, page: "", [key]: "" }) }, key + " " + s[key] + " ✕"));
  }
  list.replaceChildren();
  if (pages === 1) return;
  list.append("page " + page + " of " + pages);
  if (page > 1) list.append(element("a", { href: address({ ...s, page: page - 1 }) }, "← previous"));
  if (page < pages) list.append(element("a", { href: address({ ...s, page: page + 1 }) }, "next →"));
}

// Timeline: a group of three bars for each minute, hour, day or month, whichever gives a readable number of them.

const units = [
  { key: t => t.slice(0, 16), step: d => d.setUTCMinutes(d.getUTCMinutes() + 1), parse: k => k + ":00Z", label: k => k.slice(11), most: 90 },
  { key: t => t.slice(0, 13), step: d => d.setUTCHours(d.getUTCHours() + 1), parse: k => k + ":00:00Z", label: k => k.slice(5, 10) + " " + k.slice(11) + ":00", most: 96 },
  { key: t => t.slice(0, 10), step: d => d.setUTCDate(d.getUTCDate() + 1), parse: k => k + "T00:00:00Z", label: k => k, most: 124 },
  { key: t => t.slice(0, 7), step: d => d.setUTCMonth(d.getUTCMonth() + 1), parse: k => k + "-01T00:00:00Z", label: k => k, most: 600 },
];

// bucketsOf counts by unit, with empty buckets in between, or returns null if there would be too many.
function bucketsOf(unit, moments) {
  const sorted = moments.map(m => m.t).sort();
  const last = unit.key(sorted[sorted.length - 1]);
  const buckets = new Map();
  for (const d = new Date(unit.parse(unit.key(sorted[0]))); ; unit.step(d)) {
    const key = unit.key(d.toISOString());
    if (key > last) break;
    if (buckets.size >= unit.most) return null;
    buckets.set(key, { created: 0, answered: 0, leaked: 0 });
  }
  for (const m of moments) buckets.get(unit.key(m.t))[m.kind]++;
  return buckets;
}

const moments = report.authorizations.flatMap(a => [
  a.first_seen && { t: a.first_seen, kind: "created" },
  a.answered_at && { t: a.answered_at, kind: "answered" },
  a.first_seen && a.verdict === "leaked" && { t: a.first_seen, kind: "leaked" },
].filter(m => m && /^\d{4}-/.test(m.t)));

let timeline = null;
if (moments.length) {
  for (const unit of units) {
    const buckets = bucketsOf(unit, moments);
    if (buckets) {
      timeline = { unit, buckets: [...buckets] };
      break;
    }
  }
}

function svg(name, attributes = {}, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

// nice is a round number of at least n.
function nice(n) {
  const power = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map(f => f * power).find(x => x >= n) || n;
}

function drawTimeline(s) {
  $("timeline").hidden = !timeline;
  if (!timeline) return;
  const { unit, buckets } = timeline;
  const width = Math.max($("chart").clientWidth, 280), height = 190, left = 44, bottom = 22, top = 8;
  const most = nice(Math.max(...buckets.map(([, b]) => Math.max(b.created, b.answered))));
  const y = n => top + (height - top - bottom) * (1 - n / most);
  const step = (width - left) / Math.max(buckets.length, 8);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "authorizations asked for, answered and leaked over time" });
  for (const n of [...new Set([0, most / 4, most / 2, 3 * most / 4, most])].filter(Number.isInteger)) {
    chart.append(svg("line", { class: "grid", x1: left, x2: width, y1: y(n), y2: y(n) }), svg("text", { x: left - 6, y: y(n) + 4, "text-anchor": "end" }, String(n)));
  }
  const every = Math.ceil(90 / step);
  buckets.forEach(([key, b], i) => {
    const x = left + i * step, gap = step > 12 ? step * .15 : step * .05, w = Math.min((step - 2 * gap) / 3, 28);
    const g = svg("g", { class: "bucket" + (s.when === key ? " chosen" : "") },
      svg("title", {}, `${unit.label(key)}: ${b.created} asked for, ${b.answered} answered, ${b.leaked} leaked`),
      svg("rect", { class: "hit", x, y: top, width: step, height: height - top - bottom }));
    ["created", "answered", "leaked"].forEach((kind, j) => {
      if (b[kind]) g.append(svg("rect", { class: "k-" + kind, x: x + gap + j * w, y: y(b[kind]), width: Math.max(w - .5, .8), height: y(0) - y(b[kind]), rx: Math.min(2, w / 4) }));
    });
    g.addEventListener("click", () => go({ when: state().when === key ? "" : key, verdict: state().verdict || "all" }));
    chart.append(g);
    if (i % every === 0 && x + 60 < width) chart.append(svg("text", { x: x + gap, y: height - 6 }, unit.label(key)));
  });
  $("chart").replaceChildren(chart);
}

$("explore").hidden = report.authorizations.length === 0 && report.runs.length === 0;
$("timeline").hidden = !timeline;
$("filters").addEventListener("submit", event => event.preventDefault());
$("verdict").addEventListener("change", () => go({ verdict: $("verdict").value }));
$("cause").addEventListener("change", () => go({ cause: $("cause").value }));
let typing;
$("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go({ q: $("q").value, verdict: state().verdict || "all" }), 200);
});
addEventListener("hashchange", draw);
addEventListener("resize", () => drawTimeline(state()));
draw();
