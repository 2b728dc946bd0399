// Where parts come from: compressed inside this file, or asked of `harness view`. Loaded once, then kept.

const SERVED = document.documentElement.dataset.served === "yes";
const KEPT = new Map();

const packed = (name) => document.getElementById(`part:${name}`);

async function unpack(name) {
  const bytes = Uint8Array.from(atob(packed(name).textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

// A part by its name (harness/report/samples.py says which there are); undefined where this file does not hold it.
function part(name) {
  if (!KEPT.has(name)) {
    const loading = packed(name) ? unpack(name).then(JSON.parse) : SERVED ? ask(`part/${name}`) : Promise.resolve();
    loading.catch(() => KEPT.delete(name));  // a server that was away may be back
    KEPT.set(name, loading);
  }
  return KEPT.get(name);
}

// The address of an image; undefined where this file does not hold it.
function imageAddress(task, hash) {
  return SERVED ? `image/${task}/${hash}` : packed(`image/${hash}`)?.textContent;
}

const compare = (a, b) => ask(`compare?${new URLSearchParams({ a, b })}`);

// The only way in which this page makes elements: what `children` say is text, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

const byId = (id) => document.getElementById(id);

// A labelled choice; options are [value, text] or texts.
function choice(label, options, chosen, changed) {
  const select = make("select", { on: { change: () => changed(select.value) } });
  for (const option of options) {
    const [value, text] = Array.isArray(option) ? option : [option, option];
    select.append(make("option", { value, selected: String(value) === String(chosen) ? "" : null }, text));
  }
  return make("label", {}, label, select);
}

const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const signed = (value) => (value > 0 ? "+" : "") + number(value);
