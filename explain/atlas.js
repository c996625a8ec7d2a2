'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const canvas = document.getElementById('map'), pen = canvas.getContext('2d');
  const card = document.getElementById('card'), face = document.getElementById('face'), text = document.getElementById('text');
  const always = document.getElementById('pictures'), wrong = document.getElementById('wrong');
  const sheets = [...document.querySelectorAll('.sprite')];
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const dot = 4, fewPictures = 300, margin = 24;
  const off = new Set(), offParts = new Set(); // the hidden classes and parts
  let zoom = 1, left = 0, top = 0, chosen = -1, pinned = false;

  const points = data.points.map(([x, y, label, answer, percent, part, path, width, height], i) =>
    ({ x, y, label, answer, percent, part, path, width, height, sheet: sheets[Math.floor(i / data.perSheet)],
      u: i % data.perSheet % data.columns * data.tile, v: Math.floor(i % data.perSheet / data.columns) * data.tile }));
  const colour = label => {
    const hue = 360 * label / data.labels.length, light = (label % 2 ? 12 : 0);
    return `hsl(${hue} 65% ${dark.matches ? 58 + light : 36 + light}%)`;
  };
  const shown = p => !off.has(p.label) && !offParts.has(p.part) && !(wrong && wrong.checked && p.answer === data.labels[p.label]);
  const side = () => Math.min(canvas.clientWidth, canvas.clientHeight) - 2 * margin;
  const place = p => [
    canvas.clientWidth / 2 + ((p.x - 0.5) * zoom + left) * side(),
    canvas.clientHeight / 2 + ((p.y - 0.5) * zoom + top) * side()];
  const inView = ([x, y]) => x > -40 && y > -40 && x < canvas.clientWidth + 40 && y < canvas.clientHeight + 40;

  // size is that of each picture; 0 means that there are too many, so that dots are drawn.
  let size = 0;
  function draw() {
    const ratio = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    const seen = points.filter(p => shown(p) && inView(place(p)));
    size = always.checked || seen.length <= fewPictures ? Math.min(data.tile, Math.max(20, Math.sqrt(w * h / seen.length) / 2)) : 0;
    for (const p of seen) mark(p, size, false);
    if (chosen >= 0 && shown(points[chosen])) mark(points[chosen], Math.max(size, 0) && data.tile, true);
  }
  function mark(p, size, strong) {
    const [x, y] = place(p);
    pen.fillStyle = pen.strokeStyle = colour(p.label);
    if (size && p.sheet.complete && p.width) {
      const scale = size / data.tile, w = p.width * scale, h = p.height * scale, edge = strong ? 4 : 2;
      pen.fillRect(x - w / 2 - edge, y - h / 2 - edge, w + 2 * edge, h + 2 * edge);
      pen.drawImage(p.sheet, p.u, p.v, p.width, p.height, x - w / 2, y - h / 2, w, h);
      return;
    }
    pen.globalAlpha = strong ? 1 : 0.75;
    pen.beginPath();
    pen.arc(x, y, strong ? 2 * dot : dot, 0, 7);
    pen.fill();
    pen.globalAlpha = 1;
    if (strong) {
      pen.lineWidth = 2;
      pen.strokeStyle = getComputedStyle(document.body).color;
      pen.stroke();
    }
  }
  let waiting = false;
  const redraw = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } };

  function choose(i) {
    if (i === chosen) return;
    chosen = i;
    card.hidden = i < 0;
    redraw();
    if (i < 0) return;
    const p = points[i], brush = face.getContext('2d');
    face.width = 2 * p.width; face.height = 2 * p.height;
    if (p.sheet.complete) brush.drawImage(p.sheet, p.u, p.v, p.width, p.height, 0, 0, face.width, face.height);
    const line = (tag, content) => { const e = document.createElement(tag); e.textContent = content; return e; };
    const says = `the model says ${p.answer}, ${p.percent} %`;
    text.replaceChildren(line('b', data.byAnswer ? '' : data.labels[p.label]), line('span', says), line('small', p.path));
    card.classList.toggle('warn', !data.byAnswer && data.judged && p.answer !== data.labels[p.label]);
  }
  function nearest(x, y, most) {
    let best = -1, least = most;
    points.forEach((p, i) => {
      if (!shown(p)) return;
      const [px, py] = place(p), d = Math.hypot(px - x, py - y);
      if (d < least) { least = d; best = i; }
    });
    return best;
  }
  function zoomBy(factor, x, y) {
    const before = zoom;
    zoom = Math.min(Math.max(zoom * factor, 1), 200);
    const u = (x - canvas.clientWidth / 2) / side(), v = (y - canvas.clientHeight / 2) / side();
    left = u - (u - left) * zoom / before;
    top = v - (v - top) * zoom / before;
    keepInView();
    redraw();
  }
  // keepInView limits how far the map can be moved.
  function keepInView() {
    const most = zoom / 2;
    left = Math.min(Math.max(left, -most), most);
    top = Math.min(Math.max(top, -most), most);
    if (zoom === 1) left = top = 0;
  }
  const zoomAtCentre = factor => zoomBy(factor, canvas.clientWidth / 2, canvas.clientHeight / 2);
  const showAll = () => { zoom = 1; keepInView(); redraw(); };

  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener('pointerdown', e => {
    canvas.setPointerCapture(e.pointerId);
    fingers.set(e.pointerId, [e.offsetX, e.offsetY]);
    moved = 0;
  });
  canvas.addEventListener('pointermove', e => {
    const before = fingers.get(e.pointerId);
    if (!before) {
      if (!pinned) choose(nearest(e.offsetX, e.offsetY, size ? size / 2 : 14));
      return;
    }
    const now = [e.offsetX, e.offsetY];
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    fingers.set(e.pointerId, now);
    if (fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== e.pointerId).map(([, at]) => at);
      const was = Math.hypot(before[0] - other[0], before[1] - other[1]), is = Math.hypot(now[0] - other[0], now[1] - other[1]);
      if (was > 0) zoomBy(is / was, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      return;
    }
    left += (now[0] - before[0]) / side();
    top += (now[1] - before[1]) / side();
    keepInView();
    redraw();
  });
  const lift = e => {
    if (fingers.delete(e.pointerId) && moved < 5) { // a click pins the picture below it
      const at = nearest(e.offsetX, e.offsetY, size ? size / 2 : 14);
      pinned = at >= 0;
      choose(at);
    }
  };
  canvas.addEventListener('pointerup', lift);
  canvas.addEventListener('pointercancel', e => fingers.delete(e.pointerId));
  canvas.addEventListener('pointerleave', () => { if (!pinned && document.activeElement !== canvas) choose(-1); });
  canvas.addEventListener('wheel', e => { e.preventDefault(); zoomBy(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.002)), e.offsetX, e.offsetY); }, { passive: false });

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const way = arrows[e.key];
    if (way) step(way);
    else if (e.key === '+' || e.key === '=') zoomAtChosen(1.5);
    else if (e.key === '-') zoomAtChosen(1 / 1.5);
    else if (e.key === '0') showAll();
    else if (e.key === 'Escape') { pinned = false; choose(-1); }
    else return;
    e.preventDefault();
  });
  function zoomAtChosen(factor) {
    const [x, y] = chosen < 0 ? [canvas.clientWidth / 2, canvas.clientHeight / 2] : place(points[chosen]);
    zoomBy(factor, x, y);
  }
  // step chooses the nearest picture in a direction, and moves it into view.
  function step([dx, dy]) {
    pinned = true;
    if (chosen < 0 || !shown(points[chosen])) return choose(nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, Infinity));
    const [x, y] = place(points[chosen]);
    let best = chosen, least = Infinity;
    points.forEach((p, i) => {
      const [px, py] = place(p), ahead = (px - x) * dx + (py - y) * dy, aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      if (shown(p) && ahead > 0 && aside <= 2 * ahead && ahead + aside < least) { least = ahead + aside; best = i; }
    });
    choose(best);
    const [px, py] = place(points[best]), w = canvas.clientWidth, h = canvas.clientHeight;
    if (px < margin || px > w - margin) left += (w / 2 - px) / side();
    if (py < margin || py > h - margin) top += (h / 2 - py) / side();
    keepInView();
  }

  // A click on a class shows or hides it; with shift it hides all other classes, or shows them again.
  const switches = (selector, set) => {
    const buttons = [...document.querySelectorAll(selector)];
    const show = () => { buttons.forEach(b => b.setAttribute('aria-pressed', !set.has(+b.value))); if (chosen >= 0 && !shown(points[chosen])) choose(-1); redraw(); };
    buttons.forEach(b => {
      b.addEventListener('click', e => {
        const value = +b.value;
        if (e.shiftKey) {
          const alone = !set.has(value) && set.size === buttons.length - 1;
          buttons.forEach(o => alone || +o.value === value ? set.delete(+o.value) : set.add(+o.value));
        } else if (!set.delete(value)) set.add(value);
        show();
      });
    });
  };
  switches('.class', off);
  switches('.part', offParts);
  document.getElementById('closer').addEventListener('click', () => zoomAtCentre(1.5));
  document.getElementById('farther').addEventListener('click', () => zoomAtCentre(1 / 1.5));
  document.getElementById('all').addEventListener('click', showAll);
  const paint = () => { document.querySelectorAll('.class i').forEach(e => e.style.background = colour(+e.parentNode.value)); redraw(); };
  for (const box of [always, wrong]) if (box) box.addEventListener('change', () => { choose(-1); redraw(); });
  dark.addEventListener('change', paint);
  new ResizeObserver(redraw).observe(canvas);
  for (const s of sheets) if (!s.complete) s.addEventListener('load', redraw);
  paint();
})();
