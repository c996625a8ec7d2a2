// The page of garb serve. It sends pictures to the service a few at a time, and shows the state of
// each on a card. It contacts no other host.

const maxParallel = 2; // requests, so that one page does not fill the service's queue
const maxAttempts = 6; // for a picture while the service is busy
const maxLogLines = 20; // for screen readers

const maxBytes = Number(document.body.dataset.maxBytes);
const part = (name) => document.getElementById(name);
const [results, list, log, models] = ['results', 'cards', 'log', 'model'].map(part);

// Messages for each kind of error; see serve/problem.go.
const messages = {
  not_a_picture: 'This file is not a supported picture. Use JPEG, PNG, WebP, GIF, BMP, TIFF, ICO, AVIF or HEIC.',
  too_large: 'This picture is too large for the service. Try a smaller one.',
  unsupported: 'This picture uses a feature that is not supported. Save it as a plain JPEG or PNG and try again.',
  corrupt: 'This picture is damaged or incomplete.',
  full: 'The service is busy. Try again in a moment.',
  limited: 'The limit of this API key is reached. Try again in a moment.',
  keys_unavailable: 'The service cannot check API keys at the moment. Try again later.',
  stopping: 'The service is shutting down. Try again in a moment.',
  late: 'The service took too long to answer. Try again in a moment.',
  no_such_model: 'This model is no longer available. Choose another one and try again.',
  network: 'Cannot reach the service. Check your connection and try again.',
  unreadable: 'This file cannot be opened. If it is a folder, add the pictures in it instead.',
  unexplained: 'No heat map is available for this picture.',
  internal: 'Something went wrong. Try again in a moment.',
};

// Kinds of errors after which the same picture can be tried again.
const retryable = ['full', 'limited', 'keys_unavailable', 'stopping', 'late', 'no_such_model', 'network', 'internal'];

// Kinds of errors for statuses from a proxy between the page and the service.
const kinds = { 401: 'unauthorized', 413: 'too_large', 429: 'full', 503: 'stopping', 504: 'late' };

class Failure extends Error {
  constructor(kind, id) {
    super(messages[kind] ?? messages.internal);
    this.kind = kind in messages ? kind : 'internal';
    if (this.kind === 'internal' && id) this.message += ` Request ID: ${id}`;
  }
}

// announce reads a text out in screen readers.
function announce(text) {
  const line = document.createElement('p');
  line.textContent = text;
  log.append(line);
  while (log.children.length > maxLogLines) log.firstChild.remove();
}

// pause waits until the time is over or the signal aborts.
function pause(milliseconds, signal) {
  return new Promise((done, ended) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', () => { clearTimeout(timer); ended(signal.reason); }, { once: true });
  });
}

// The API key, if the service requires one. It is kept until the tab is closed.
const keyForm = part('key-form');
const keyStore = { get: () => sessionStorage.getItem('garb-key') ?? '', set: (key) => sessionStorage.setItem('garb-key', key) };
let key = '';
try { key = keyStore.get(); } catch { /* the browser does not allow storage: keep the key in the page only */ }

keyForm.addEventListener('submit', (event) => {
  event.preventDefault();
  key = part('key').value.trim();
  try { keyStore.set(key); } catch { /* as above */ }
  part('key').value = '';
  keyForm.hidden = true;
  part('choose').focus();
});

// waitForKey waits until the user has entered another key than the refused one.
function waitForKey(refused, signal) {
  if (key !== refused) return undefined;
  part('key-wrong').hidden = refused === '';
  if (keyForm.hidden) {
    keyForm.hidden = false;
    part('key').focus();
  }
  return new Promise((done, ended) => {
    keyForm.addEventListener('submit', done, { once: true, signal });
    signal.addEventListener('abort', () => ended(signal.reason), { once: true });
  });
}

// classify sends a picture and returns the answer. While the service is busy or needs a key, it waits
// and reports why.
async function classify(file, query, signal, report) {
  if (file.size > maxBytes) throw new Failure('too_large');
  for (let attempt = 1; ; attempt++) {
    const sent = key;
    // The service detects the format from the content; the file's own type may be wrong.
    const headers = { 'Content-Type': 'application/octet-stream' };
    if (sent) headers.Authorization = `Bearer ${sent}`;
    let response;
    try {
      response = await fetch(`v1/classify?${new URLSearchParams(query)}`, { method: 'POST', headers, body: file, signal });
      if (response.ok) return await response.json();
    } catch (error) {
      if (signal.aborted) throw error;
      const readable = await file.slice(0, 1).arrayBuffer().then(() => true, () => false);
      throw new Failure(readable ? 'network' : 'unreadable');
    }
    const problem = await response.json().catch(() => ({}));
    signal.throwIfAborted();
    const kind = problem.kind ?? kinds[response.status];
    if (kind === 'unauthorized') {
      report('Waiting for an API key…');
      await waitForKey(sent, signal);
    } else if ((kind === 'full' || kind === 'limited' || kind === 'stopping') && attempt < maxAttempts) {
      report('Service busy, trying again…');
      const seconds = Number(response.headers.get('Retry-After')) || 1;
      await pause(1000 * (seconds + Math.random()), signal); // so that pages do not retry all at once
    } else {
      throw new Failure(kind, problem.request_id);
    }
  }
}

// percent formats a probability; only 1 becomes 100%.
function percent(p) {
  if (p > 0.9995 && p < 1) return '> 99.9%';
  if (p < 0.0005 && p > 0) return '< 0.1%';
  return `${(100 * p).toFixed(1)}%`;
}

// describe returns the class of an answer or, for a multi-label model, all labels above one half.
function describe(answer) {
  if (answer.labels) return answer.labels.join(', ') || 'No label';
  const best = answer.predictions[0];
  return best.probability < 0.5 ? `Possibly ${best.class}` : best.class;
}

// describeRefusal returns the texts for a picture that shows none of the model's classes. refusal is
// the model's text for it, such as "not clothing" or "none of these".
function describeRefusal(refusal, closest) {
  const kind = refusal.startsWith('not ') ? refusal.slice(4) : '';
  return {
    verdict: kind ? `This does not look like ${kind}` : `This looks like ${refusal}`,
    closest: `Most similar class: ${closest}`,
  };
}

const milliseconds = (t) => `${t < 10 ? t.toFixed(1) : Math.round(t)} ms`;

// Card shows a picture and its answer.
class Card {
  constructor(file, name) {
    this.file = file;
    this.name = name;
    this.aborter = new AbortController();
    this.element = part('card').content.firstElementChild.cloneNode(true);
    this.address = URL.createObjectURL(file);
    const { thumbnail, look, again, remove } = this.parts('thumbnail', 'look', 'again', 'remove');
    thumbnail.alt = name;
    thumbnail.addEventListener('error', () => this.hideThumbnail());
    thumbnail.src = this.address;
    this.part('file').textContent = name;
    look.addEventListener('click', () => this.look());
    again.addEventListener('click', () => { remove.focus(); enqueue(this); });
    remove.setAttribute('aria-label', `Remove ${name}`);
    remove.addEventListener('click', () => removeCard(this));
    this.state('waiting', 'Waiting…');
  }

  part(name) { return this.element.querySelector(`.${name}`); }

  parts(...names) { return Object.fromEntries(names.map((n) => [n, this.part(n)])); }

  // state shows the state of the picture: waiting, asking, done or failed.
  state(state, verdict) {
    this.element.dataset.state = state;
    this.element.setAttribute('aria-busy', state === 'waiting' || state === 'asking');
    this.part('verdict').textContent = verdict;
  }

  // hideThumbnail hides a picture that the browser cannot show, and with it the heat map.
  hideThumbnail() {
    this.element.dataset.thumbnail = 'none';
    this.part('thumbnail').hidden = true;
    this.part('look').hidden = true;
  }

  problem(text) {
    const p = this.part('problem');
    p.hidden = text === '';
    p.textContent = text;
  }

  // classify shows the picture's classes, or an error.
  async classify() {
    // Until the list of models has arrived, the service chooses its first.
    this.modelQuery = models.value ? { model: models.value } : {};
    const began = performance.now();
    const report = (text) => this.state('asking', text);
    report('Classifying…');
    try {
      this.show(await classify(this.file, { top: 5, ...this.modelQuery }, this.aborter.signal, report), performance.now() - began);
    } catch (error) {
      if (this.aborter.signal.aborted) return;
      const failure = error instanceof Failure ? error : new Failure('internal');
      this.state('failed', 'Failed');
      this.problem(failure.message);
      this.part('again').hidden = !retryable.includes(failure.kind);
      announce(`${this.name}: ${failure.message}`);
      if (failure.kind === 'no_such_model') listModels().catch(() => {});
    }
  }

  show(answer, took) {
    const best = answer.predictions[0];
    const refused = answer.accepted === false;
    const text = refused ? describeRefusal(answer.refusal, best.class) : { verdict: describe(answer) };
    this.state('done', text.verdict);
    this.element.toggleAttribute('data-refused', refused);
    const closest = this.part('closest');
    closest.hidden = !refused;
    closest.textContent = text.closest ?? '';
    this.part('classes').replaceChildren(...answer.predictions.map((p) => {
      const row = part('class').content.firstElementChild.cloneNode(true);
      row.querySelector('.class').textContent = p.class;
      row.querySelector('.share').textContent = percent(p.probability);
      row.querySelector('.bar i').style.width = `${100 * p.probability}%`;
      return row;
    }));
    this.part('classes').hidden = false;
    const { decode, queue, inference } = answer.milliseconds;
    const stages = [`decoding ${milliseconds(decode)}`, `model ${milliseconds(inference)}`];
    if (queue >= 1) stages.splice(1, 0, `queue ${milliseconds(queue)}`);
    const time = this.part('time');
    time.hidden = false;
    time.textContent = `${milliseconds(took)} in total (${stages.join(', ')})`;
    if (models.options.length > 1) time.textContent += ` · model ${answer.model.name}`;
    this.part('look').hidden = this.element.dataset.thumbnail === 'none';
    announce(`${this.name}: ${refused ? `${text.verdict}. ${text.closest}` : text.verdict}, ${percent(best.probability)}`);
  }

  // look shows or hides the heat map, which is requested the first time only.
  async look() {
    const { look, heat, legend } = this.parts('look', 'heat', 'legend');
    if (look.getAttribute('aria-busy') === 'true') return;
    const on = look.getAttribute('aria-pressed') !== 'true';
    if (on && !heat.src) {
      this.problem('');
      look.setAttribute('aria-busy', 'true');
      try {
        const answer = await classify(this.file, { top: 1, ...this.modelQuery, explain: true }, this.aborter.signal, () => {});
        if (!answer.explanation) throw new Failure('unexplained');
        heat.src = answer.explanation;
        heat.alt = `Heat map: the areas that support ${answer.class}`;
        legend.textContent = `Red areas support ${answer.class} most`;
      } catch (error) {
        if (this.aborter.signal.aborted) return;
        const failure = error instanceof Failure ? error : new Failure('internal');
        this.problem(failure.message);
        announce(failure.message);
        return;
      } finally {
        look.removeAttribute('aria-busy');
      }
    }
    look.setAttribute('aria-pressed', on);
    heat.hidden = legend.hidden = !on;
  }

  // leave aborts the card's requests and removes it.
  leave() {
    this.aborter.abort();
    URL.revokeObjectURL(this.address);
    this.element.remove();
  }
}

const cards = new Set();
let waiting = [];
let inFlight = 0;

function enqueue(card) {
  card.state('waiting', 'Waiting…');
  card.problem('');
  card.part('again').hidden = true;
  waiting.push(card);
  next();
}

function next() {
  while (inFlight < maxParallel && waiting.length > 0) {
    inFlight++;
    waiting.shift().classify().finally(() => { inFlight--; next(); });
  }
}

// add adds a card for each file, the newest first.
function add(files, nameOf = (file) => file.name || 'Picture') {
  const all = Array.from(files, (file) => new Card(file, nameOf(file)));
  list.prepend(...all.map((card) => card.element));
  for (const card of all) {
    cards.add(card);
    enqueue(card);
  }
  count();
}

function removeCard(card) {
  const beside = card.element.nextElementSibling ?? card.element.previousElementSibling;
  waiting = waiting.filter((c) => c !== card);
  cards.delete(card);
  card.leave();
  count();
  (beside?.querySelector('.remove') ?? part('choose')).focus(); // the removed button had the focus
}

function count() {
  results.hidden = cards.size === 0;
  part('results-title').textContent = cards.size === 1 ? '1 picture' : `${cards.size} pictures`;
  if (cards.size === 0) keyForm.hidden = true; // no card waits for a key
}

part('clear').addEventListener('click', () => {
  waiting = [];
  for (const card of cards) card.leave();
  cards.clear();
  count();
  part('choose').focus();
});

for (const [button, input] of [['choose', 'files'], ['photograph', 'camera']]) {
  part(button).addEventListener('click', () => part(input).click());
  part(input).addEventListener('change', (event) => {
    add(event.target.files);
    event.target.value = ''; // so that the same file can be chosen again
  });
}

document.addEventListener('paste', (event) => {
  const files = event.clipboardData?.files ?? [];
  if (files.length === 0) return;
  event.preventDefault();
  // Browsers name every picture of the clipboard image.png.
  add(files, (file) => (file.name === 'image.png' ? 'Pasted picture' : file.name || 'Pasted picture'));
});

const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
for (const kind of ['dragenter', 'dragover']) {
  document.addEventListener(kind, (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
    document.body.classList.add('dragging');
  });
}
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) document.body.classList.remove('dragging'); // the pointer left the window
});
document.addEventListener('drop', (event) => {
  document.body.classList.remove('dragging');
  if (!hasFiles(event)) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});

// listModels fills the list of models, and shows it if there are several.
async function listModels() {
  const { models: versions } = await (await fetch('readyz')).json();
  const names = Object.keys(versions);
  const chosen = names.includes(models.value) ? models.value : document.body.dataset.firstModel;
  models.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  models.parentElement.hidden = names.length < 2;
}
listModels().catch(() => {});
