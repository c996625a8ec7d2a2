// The page of garb serve. Pictures go to the service a few at a time; each has a card at
// once, which says how it stands. Nothing but the service that the page is from is contacted.

const atATime = 2; // requests under way, so that one page does not fill the service's queue
const attempts = 6; // for a picture that the service has no room for
const spoken = 20; // lines that are kept for screen readers

const maxBytes = Number(document.body.dataset.maxBytes);
const part = (name) => document.getElementById(name);
const [results, list, log, models] = ['results', 'cards', 'log', 'model'].map(part);

// What is said of each kind of error; see serve/problem.go.
const sentences = {
  not_a_picture: 'This file is not a picture that garb can read. Send JPEG, PNG, WebP, GIF, BMP, AVIF or HEIC.',
  too_large: 'This picture is larger than the service takes. Send a smaller one.',
  unsupported: 'This is a kind of picture that garb cannot read. Save it as JPEG or PNG, and send that.',
  corrupt: 'This picture is damaged or incomplete.',
  full: 'The service is busy. Try again in a moment.',
  stopping: 'The service is about to stop. Try again in a moment.',
  late: 'The answer took too long. Try again in a moment.',
  no_such_model: 'The service no longer has this model. Choose another one, and try again.',
  network: 'The service cannot be reached. Check the connection, and try again.',
  unreadable: 'This file cannot be opened. If it is a folder, send the pictures in it.',
  unexplained: 'The model cannot show where it looked.',
  internal: 'Something went wrong in the service. Try again in a moment.',
};

// Of these, the same picture may come to an answer next time.
const passing = ['full', 'stopping', 'late', 'no_such_model', 'network', 'internal'];

// What statuses mean that come from something between the page and the service.
const kinds = { 401: 'unauthorized', 413: 'too_large', 429: 'full', 503: 'stopping', 504: 'late' };

class Failure extends Error {
  constructor(kind, id) {
    super(sentences[kind] ?? sentences.internal);
    this.kind = kind in sentences ? kind : 'internal';
    if (this.kind === 'internal' && id) this.message += ` Its log has this as ${id}.`;
  }
}

// say tells those who do not see the page.
function say(text) {
  const line = document.createElement('p');
  line.textContent = text;
  log.append(line);
  while (log.children.length > spoken) log.firstChild.remove();
}

// pause waits, unless signal ends it.
function pause(milliseconds, signal) {
  return new Promise((done, ended) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', () => { clearTimeout(timer); ended(signal.reason); }, { once: true });
  });
}

// The key, if the service asks for one. It lives as long as the tab.
const keyForm = part('key-form');
const keyStore = { get: () => sessionStorage.getItem('garb-key') ?? '', set: (key) => sessionStorage.setItem('garb-key', key) };
let key = '';
try { key = keyStore.get(); } catch { /* the browser stores nothing: it lives as long as the page */ }

keyForm.addEventListener('submit', (event) => {
  event.preventDefault();
  key = part('key').value.trim();
  try { keyStore.set(key); } catch { /* as above */ }
  part('key').value = '';
  keyForm.hidden = true;
  part('choose').focus();
});

// otherKey waits until the person has given another key than the one that was refused.
function otherKey(refused, signal) {
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

// ask sends a picture and returns the answer. What passes by itself is waited for, and told.
async function ask(file, query, signal, tell) {
  if (file.size > maxBytes) throw new Failure('too_large');
  for (let attempt = 1; ; attempt++) {
    const sent = key;
    // A file's own type may be none of a picture, and garb looks at the bytes alone.
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
      tell('Waiting for a key');
      await otherKey(sent, signal);
    } else if ((kind === 'full' || kind === 'stopping') && attempt < attempts) {
      tell('The service is busy; trying again');
      const seconds = Number(response.headers.get('Retry-After')) || 1;
      await pause(1000 * (seconds + Math.random()), signal); // not all pages at the same moment
    } else {
      throw new Failure(kind, problem.request_id);
    }
  }
}

// percent writes a probability so that only certainty is 100%.
function percent(p) {
  if (p > 0.9995 && p < 1) return '> 99.9%';
  if (p < 0.0005 && p > 0) return '< 0.1%';
  return `${(100 * p).toFixed(1)}%`;
}

// verdictOf is the class of an answer, or of a multi-label model all labels above one half.
function verdictOf(answer) {
  if (answer.labels) return answer.labels.join(', ') || 'none of the labels';
  const best = answer.predictions[0];
  return best.probability < 0.5 ? `${best.class}, perhaps` : best.class;
}

// refusalText says in words what a model says of a picture that shows none of its classes,
// "not clothing" or "none of these", and what the picture is closest to.
function refusalText(refusal, closest) {
  const kind = refusal.startsWith('not ') ? refusal.slice(4) : '';
  return {
    verdict: kind ? `This does not look like ${kind}` : `This looks like ${refusal}`,
    closest: `If it ${kind ? 'is' : 'is one'}, it is closest to: ${closest}`,
  };
}

const milliseconds = (t) => `${t < 10 ? t.toFixed(1) : Math.round(t)} ms`;

// Card is a picture on the page, from the moment that it is given.
class Card {
  constructor(file, name) {
    this.file = file;
    this.name = name;
    this.leaving = new AbortController();
    this.element = part('card').content.firstElementChild.cloneNode(true);
    this.address = URL.createObjectURL(file);
    const { thumbnail, look, again, remove } = this.parts('thumbnail', 'look', 'again', 'remove');
    thumbnail.alt = name;
    thumbnail.addEventListener('error', () => this.noThumbnail());
    thumbnail.src = this.address;
    this.part('file').textContent = name;
    look.addEventListener('click', () => this.look());
    again.addEventListener('click', () => { remove.focus(); enqueue(this); });
    remove.setAttribute('aria-label', `Remove ${name}`);
    remove.addEventListener('click', () => removeCard(this));
    this.state('waiting', 'Waiting');
  }

  part(name) { return this.element.querySelector(`.${name}`); }

  parts(...names) { return Object.fromEntries(names.map((n) => [n, this.part(n)])); }

  // state shows how the picture stands: waiting, asking, done or failed.
  state(state, verdict) {
    this.element.dataset.state = state;
    this.element.setAttribute('aria-busy', state === 'waiting' || state === 'asking');
    this.part('verdict').textContent = verdict;
  }

  // noThumbnail is for what the browser cannot show. A heat map would lie over nothing.
  noThumbnail() {
    this.element.dataset.thumbnail = 'none';
    this.part('thumbnail').hidden = true;
    this.part('look').hidden = true;
  }

  problem(text) {
    const p = this.part('problem');
    p.hidden = text === '';
    p.textContent = text;
  }

  // classify asks for the picture's classes and shows them, or why there are none.
  async classify() {
    this.model = models.value;
    const began = performance.now();
    const tell = (text) => this.state('asking', text);
    tell('Looking at it');
    try {
      this.show(await ask(this.file, { top: 5, model: this.model }, this.leaving.signal, tell), performance.now() - began);
    } catch (error) {
      if (this.leaving.signal.aborted) return;
      const failure = error instanceof Failure ? error : new Failure('internal');
      this.state('failed', 'No answer');
      this.problem(failure.message);
      this.part('again').hidden = !passing.includes(failure.kind);
      say(`${this.name}: ${failure.message}`);
      if (failure.kind === 'no_such_model') listModels().catch(() => {});
    }
  }

  show(answer, took) {
    const best = answer.predictions[0];
    const refused = answer.accepted === false;
    const text = refused ? refusalText(answer.refusal, best.class) : { verdict: verdictOf(answer) };
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
    const stages = [`${milliseconds(decode)} reading`, `${milliseconds(inference)} thinking`];
    if (queue >= 1) stages.splice(1, 0, `${milliseconds(queue)} waiting`);
    const time = this.part('time');
    time.hidden = false;
    time.textContent = `${milliseconds(took)} in all: ${stages.join(', ')}`;
    if (models.options.length > 1) time.textContent += `. Model ${answer.model.name}`;
    this.part('look').hidden = this.element.dataset.thumbnail === 'none';
    say(`${this.name}: ${refused ? `${text.verdict}. ${text.closest}` : text.verdict}, ${percent(best.probability)}`);
  }

  // look shows or hides where the model looked, which is asked for the first time only.
  async look() {
    const { look, heat, legend } = this.parts('look', 'heat', 'legend');
    if (look.getAttribute('aria-busy') === 'true') return;
    const on = look.getAttribute('aria-pressed') !== 'true';
    if (on && !heat.src) {
      this.problem('');
      look.setAttribute('aria-busy', 'true');
      try {
        const answer = await ask(this.file, { top: 1, model: this.model, explain: true }, this.leaving.signal, () => {});
        if (!answer.explanation) throw new Failure('unexplained');
        heat.src = answer.explanation;
        heat.alt = `Heat map over the picture: what spoke for ${answer.class}`;
        legend.textContent = `Red spoke most for ${answer.class}`;
      } catch (error) {
        if (this.leaving.signal.aborted) return;
        const failure = error instanceof Failure ? error : new Failure('internal');
        this.problem(failure.message);
        say(failure.message);
        return;
      } finally {
        look.removeAttribute('aria-busy');
      }
    }
    look.setAttribute('aria-pressed', on);
    heat.hidden = legend.hidden = !on;
  }

  // leave ends what is under way and lets go of the picture.
  leave() {
    this.leaving.abort();
    URL.revokeObjectURL(this.address);
    this.element.remove();
  }
}

const cards = new Set();
let waiting = [];
let underWay = 0;

function enqueue(card) {
  card.state('waiting', 'Waiting');
  card.problem('');
  card.part('again').hidden = true;
  waiting.push(card);
  next();
}

function next() {
  while (underWay < atATime && waiting.length > 0) {
    underWay++;
    waiting.shift().classify().finally(() => { underWay--; next(); });
  }
}

// add takes files, the newest above.
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
  (beside?.querySelector('.remove') ?? part('choose')).focus(); // not lost with its button
}

function count() {
  results.hidden = cards.size === 0;
  part('results-title').textContent = cards.size === 1 ? '1 picture' : `${cards.size} pictures`;
  if (cards.size === 0) keyForm.hidden = true; // nobody waits for it
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
    event.target.value = ''; // the same file may be chosen again
  });
}

document.addEventListener('paste', (event) => {
  const files = event.clipboardData?.files ?? [];
  if (files.length === 0) return;
  event.preventDefault();
  // Browsers call every picture of the clipboard image.png.
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
  if (!event.relatedTarget) document.body.classList.remove('dragging'); // it left the window
});
document.addEventListener('drop', (event) => {
  document.body.classList.remove('dragging');
  if (!hasFiles(event)) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});

// Models to choose from, if there are several. Without the list, the first answers.
async function listModels() {
  const { models: versions } = await (await fetch('readyz')).json();
  const names = Object.keys(versions);
  const chosen = names.includes(models.value) ? models.value : document.body.dataset.firstModel;
  models.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  models.parentElement.hidden = names.length < 2;
}
listModels().catch(() => {});
