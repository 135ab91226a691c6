// The experiments.  Each does the same to the three sessions, one after the other, and shows what is left.

const TIMES = 50;
const LANES = [
  { name: "cookie", title: "Signed cookie", detail: "Starlette SessionMiddleware" },
  { name: "whole", title: "Load all, save all", detail: "starsessions, in memory" },
  { name: "ours", title: "atomic-session", detail: "this library" },
];
const SHELVES = [["Tea", "Bread", "Figs"], ["Honey", "Olives", "Salt"]];
const STORES = { sqlite: "an SQLite file", memory: "its memory store", mongodb: "MongoDB", redis: "Redis", postgresql: "PostgreSQL" };

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const find = (selector, root = document) => root.querySelector(selector);
const by = (id) => find(`[data-testid="${id}"]`);

// ---------------------------------------------------------------- requests

const address = (path, query = {}) => `${path}?${new URLSearchParams(query)}`;
const send = (path, query, options) => fetch(address(path, query), { method: "POST", ...options });

async function must(response) {
  const answer = await response;
  if (!answer.ok) throw new Error(`${new URL(answer.url).pathname} was answered with ${answer.status}`);
  return answer;
}

const change = (path, query, options) => must(send(path, query, options));
const read = async (path, query) => (await must(fetch(address(path, query), { cache: "no-store" }))).json();

// ---------------------------------------------------------------- drawing

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function drawLanes(section, body) {
  for (const lane of LANES) {
    const card = find("#lane").content.cloneNode(true).firstElementChild;
    card.dataset.lane = lane.name;
    find("h3", card).textContent = lane.title;
    find("header p", card).textContent = lane.detail;
    find(".body", card).append(...body(lane.name));
    find(".lanes", section).append(card);
  }
}

function tally(id, of) {
  return element("p", { className: "tally" },
    element("output", { "data-testid": id }), element("span", {}, `of ${of}`), element("span", { className: "note" }));
}

function note(output, words) {
  find(".note", output.parentElement).textContent = words;
}

function showTally(output, number, of) {
  note(output, number === of ? "none lost" : `${of - number} lost`);
  output.textContent = number;
  output.dataset.result = number;
  output.parentElement.dataset.verdict = number === of ? "whole" : "short";
}

function clearTally(output) {
  output.textContent = "";
  delete output.dataset.result;
  delete output.parentElement.dataset.verdict;
  note(output, "");
}

const pause = (milliseconds) => calm.matches ? undefined : new Promise((go) => setTimeout(go, milliseconds));

// Every experiment begins with an empty session, so the cart is empty too.
async function begin(lane) {
  await change(`/${lane}/start`);
  showCart(lane, {});
  clearTally(by(`cart-${lane}`));
}

// One experiment at a time: they share the browser's few connections, and the sessions.
let running = Promise.resolve();

function onPress(id, summary, experiment) {
  const button = by(id);
  const status = by(summary);
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    status.textContent = "";
    (find(".lanes", button.closest("section")) ?? button).scrollIntoView({ block: "nearest" });
    running = running.then(experiment).then(
      (words) => { status.textContent = words ?? ""; },
      (error) => { status.textContent = `That did not work: ${error.message}.`; },
    ).finally(() => button.removeAttribute("aria-busy"));
  });
}

const many = (number, of) => number === of ? `all ${of}` : `${number} of ${of}`;
const kept = (results, of) => `Signed cookie kept ${many(results.cookie, of)}; load all, save all kept ${many(results.whole, of)}; atomic-session kept ${many(results.ours, of)}.`;

// ---------------------------------------------------------------- race

const raceKey = (index) => `k${String(index).padStart(2, "0")}`;

drawLanes(find("#race"), (lane) => {
  const cells = Array.from({ length: TIMES }, (_, index) => {
    const cell = element("span", { className: "cell" });
    cell.style.setProperty("--i", index);
    return cell;
  });
  return [tally(`race-${lane}`, `${TIMES} keys`), element("div", { className: "grid", role: "img", "aria-label": "No result yet" }, ...cells)];
});

async function raceLane(lane) {
  const output = by(`race-${lane}`);
  const cells = [...find(`#race [data-lane="${lane}"] .grid`).children];
  await begin(lane);
  let answered = 0;
  await Promise.all(cells.map(async (cell, index) => {
    cell.dataset.state = "sent";
    await change(`/${lane}/race`, { key: raceKey(index) });
    cell.dataset.state = "answered";
    note(output, `${++answered} answered`);
  }));
  const kept = await read(`/${lane}/state`);
  cells.forEach((cell, index) => { cell.dataset.state = raceKey(index) in kept ? "kept" : "lost"; });
  const count = cells.filter((cell) => cell.dataset.state === "kept").length;
  cells[0].parentElement.setAttribute("aria-label", `${count} of ${TIMES} keys survived`);
  showTally(output, count, TIMES);
  return count;
}

onPress("race-run", "race-summary", async () => {
  for (const { name } of LANES) {
    clearTally(by(`race-${name}`));
    for (const cell of find(`#race [data-lane="${name}"] .grid`).children) delete cell.dataset.state;
  }
  const results = {};
  for (const { name } of LANES) results[name] = await raceLane(name);
  return `All were answered with success. ${kept(results, TIMES)}`;
});

// ---------------------------------------------------------------- counter

drawLanes(find("#counter"), (lane) => [
  tally(`counter-${lane}`, TIMES),
  element("div", { className: "bar", "aria-hidden": "true" },
    element("i", { className: "answered" }), element("i", { className: "counted" })),
]);

const fill = (lane, part, value) => find(`#counter [data-lane="${lane}"] .${part}`).style.setProperty("--part", value / TIMES);

async function countLane(lane) {
  const output = by(`counter-${lane}`);
  await begin(lane);
  let answered = 0;
  await Promise.all(Array.from({ length: TIMES }, async () => {
    await change(`/${lane}/count`);
    fill(lane, "answered", ++answered);
    note(output, `${answered} answered`);
  }));
  const { count } = await read(`/${lane}/state`);
  showTally(output, count, TIMES);
  find(`#counter [data-lane="${lane}"] .bar`).dataset.verdict = count === TIMES ? "whole" : "short";
  fill(lane, "counted", count);
  return count;
}

onPress("counter-run", "counter-summary", async () => {
  for (const { name } of LANES) {
    clearTally(by(`counter-${name}`));
    fill(name, "answered", 0);
    fill(name, "counted", 0);
  }
  const results = {};
  for (const { name } of LANES) results[name] = await countLane(name);
  return `Fifty times one is ${results.cookie} in the signed cookie, ${results.whole} where all is saved, and ${results.ours} in atomic-session.`;
});

// ---------------------------------------------------------------- logout

const STEPS = ["Ada signs in", "Slow request begins", "Ada logs out", "Slow request writes"];

drawLanes(find("#logout"), (lane) => [
  element("ol", { className: "steps" }, ...STEPS.map((step) => element("li", {}, step))),
  element("p", { className: "verdict", "data-testid": `logout-${lane}` }, "Not tried yet"),
]);

function clearLogout(lane) {
  const verdict = by(`logout-${lane}`);
  verdict.textContent = "…";
  delete verdict.dataset.result;
  delete verdict.dataset.verdict;
  find(`#logout [data-lane="${lane}"] .steps`).replaceChildren(...STEPS.map((step) => element("li", {}, step)));
}

async function logoutLane(lane) {
  const steps = find(`#logout [data-lane="${lane}"] .steps`).children;
  const step = async (index, answer) => {
    steps[index].dataset.done = "";
    if (answer) steps[index].append(" ", element("b", {}, answer));
    await pause(280);
  };
  const gate = crypto.getRandomValues(new Uint32Array(2)).join("-");
  await begin(lane);
  await change(`/${lane}/login`);
  await step(0);
  const slow = send(`/${lane}/slow`, { gate });
  await must(fetch(address("/slow/began", { gate })));
  await step(1);
  await change(`/${lane}/logout`);
  await step(2);
  await change("/slow/finish", { gate });
  const { status } = await slow;
  await step(3, status === 401 ? "refused (401)" : `saved (${status})`);
  const { user } = await read(`/${lane}/state`);
  const verdict = by(`logout-${lane}`);
  verdict.textContent = user ? `${user} is signed in again` : "Stays logged out";
  verdict.dataset.verdict = user ? "short" : "whole";
  verdict.dataset.status = status;
  verdict.dataset.result = user ? "came back" : "stays out";
  return verdict.dataset.result;
}

onPress("logout-run", "logout-summary", async () => {
  for (const { name } of LANES) clearLogout(name);
  const results = {};
  for (const { name } of LANES) results[name] = await logoutLane(name);
  await showSessions();
  const titles = LANES.filter(({ name }) => results[name] === "came back").map(({ title }) => title);
  return titles.length ? `The late write brought Ada back in: ${titles.join("; ")}.` : "Ada stays logged out everywhere.";
});

// ---------------------------------------------------------------- cart

const everything = SHELVES.flat();
const carts = {};
const otherTabs = new BroadcastChannel("cart");

drawLanes(find("#cart"), (lane) => [
  tally(`cart-${lane}`, `${everything.length} things`),
  element("ul", { className: "chips" }),
]);

function showCart(lane, cart, expected = []) {
  carts[lane] = cart;
  const chips = find(`#cart [data-lane="${lane}"] .chips`);
  const named = everything.filter((name) => name in cart || expected.includes(name));
  chips.replaceChildren(...named.map((name) => name in cart
    ? element("li", { "data-state": "kept" }, cart[name] > 1 ? `${name} × ${cart[name]}` : name)
    : element("li", { "data-state": "lost", "aria-label": `${name}, lost` }, name)));
  if (!named.length) chips.append(element("li", { className: "empty" }, "Empty"));
}

async function loadCart(lane, expected) {
  const { cart = {} } = await read(`/${lane}/state`);
  showCart(lane, cart, expected);
  return Object.keys(cart).length;
}

const loadCarts = () => Promise.all(LANES.map(({ name }) => loadCart(name)));

const put = (lane, sku) => change(`/${lane}/cart`, { sku, n: (carts[lane]?.[sku] ?? 0) + 1 });

async function addOne(sku) {
  for (const { name } of LANES) {
    await put(name, sku);
    await loadCart(name);
    clearTally(by(`cart-${name}`));
  }
  otherTabs.postMessage("changed");
  return `${sku} was added.`;
}

async function cartLane(lane) {
  await begin(lane);
  await Promise.all(everything.map((sku) => put(lane, sku)));
  const count = await loadCart(lane, everything);
  showTally(by(`cart-${lane}`), count, everything.length);
  return count;
}

document.querySelectorAll("#cart .shelf").forEach((shelf, index) => {
  for (const sku of SHELVES[index]) {
    shelf.append(element("button", { type: "button", "data-testid": `add-${sku}`, "aria-label": `Add ${sku}` }, sku));
    onPress(`add-${sku}`, "cart-summary", () => addOne(sku));
  }
});

onPress("cart-run", "cart-summary", async () => {
  for (const { name } of LANES) clearTally(by(`cart-${name}`));
  const results = {};
  for (const { name } of LANES) results[name] = await cartLane(name);
  otherTabs.postMessage("changed");
  return `Two tabs, six things. ${kept(results, everything.length)}`;
});

otherTabs.addEventListener("message", loadCarts);

// ---------------------------------------------------------------- sessions

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function drawSession(session) {
  const name = element("p", { className: "id" }, element("code", { title: session.id }, session.id.slice(0, 8)));
  if (session.this) name.append(element("span", { className: "badge" }, "this browser"));
  const when = `Created ${clock.format(new Date(session.created))}, last used ${clock.format(new Date(session.used))}`;
  const button = element("button", { type: "button", "aria-label": `Log out session ${session.id.slice(0, 8)}` }, "Log out");
  button.addEventListener("click", () => {
    running = running.then(() => endSession(session)).catch((error) => {
      by("sessions-summary").textContent = `That did not work: ${error.message}.`;
    });
  });
  return element("li", { "data-session": session.this ? "this" : "other" },
    name, element("p", { className: "when" }, when), button);
}

async function endSession(session) {
  await (session.this ? change("/ours/logout") : change("/ours/end_one", { id: session.id }));
  await showSessions();
  by("sessions-summary").textContent = session.this ? "This browser is logged out." : "That session is logged out.";
  find("#sessions-title").focus();
}

async function showSessions() {
  const { owner, sessions } = await read("/ours/sessions");
  sessions.sort((one, other) => other.this - one.this);
  const list = by("session-list");
  list.replaceChildren(...sessions.map(drawSession));
  list.dataset.result = sessions.length;
  by("who").textContent = owner ? `Signed in as Ada, in ${sessions.length === 1 ? "one session" : `${sessions.length} sessions`}.` : "Not signed in.";
  document.querySelectorAll("#sessions [data-needs]").forEach((button) => {
    button.hidden = (button.dataset.needs === "in") !== Boolean(owner);
  });
  return sessions.length;
}

onPress("sign-in", "sessions-summary", async () => {
  await change("/ours/login");
  await showSessions();
  by("other-device").focus();
  return "Signed in.";
});

// A request without this browser's cookie is what another device sends.
onPress("other-device", "sessions-summary", async () => {
  await change("/ours/login", {}, { credentials: "omit" });
  await showSessions();
  return "Another device signed in.";
});

onPress("end-others", "sessions-summary", async () => {
  await change("/ours/end_others");
  await showSessions();
  return "The others are logged out.";
});

// ---------------------------------------------------------------- what is compared

function showCode(code) {
  for (const place of document.querySelectorAll("[data-code]")) {
    const handlers = code[place.dataset.code];
    place.append(...LANES.map(({ name, title }) => element("figure", {},
      element("figcaption", {}, title), element("pre", {}, element("code", {}, handlers[name].trimEnd())))));
  }
}

async function introduce() {
  const { store, wait, code } = await read("/about");
  const place = STORES[store] ?? store;
  find('[data-fill="store"]').textContent = place;
  find('[data-fill="wait"]').textContent = wait;
  document.querySelectorAll('[data-lane="ours"] header p').forEach((detail) => { detail.textContent = `this library, on ${place}`; });
  showCode(code);
}

await Promise.all([introduce(), loadCarts(), showSessions()]);
document.documentElement.dataset.ready = "";
