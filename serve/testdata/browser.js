// Helpers that the browser tests call in the page.

const all = (selector, value) => Array.from(document.querySelectorAll(selector), value);
const only = (selector) => document.querySelector(selector);

// heldURLs are the object URLs that were created and not revoked.
window.heldURLs = new Set();
for (const [name, what] of [['createObjectURL', 'add'], ['revokeObjectURL', 'delete']]) {
  const real = URL[name];
  URL[name] = (x) => {
    const made = real.call(URL, x);
    window.heldURLs[what](made ?? x);
    return made;
  };
}

Object.assign(window.tests = {}, {
  count: (state) => all(`[data-state=${state}]`).length,
  texts: (selector) => all(selector, (e) => e.textContent),
  visible: (selector) => all(selector, (e) => e.checkVisibility()),
  widths: () => all('.bar i', (e) => parseFloat(e.style.width)),
  colours: (selector) => all(selector, (e) => getComputedStyle(e).backgroundColor),
  stored: () => [sessionStorage.getItem('garb-key'), String(localStorage.length), document.cookie],

  // heatOn reports whether the heat map is loaded and shown.
  heatOn: () => only('.look').ariaPressed === 'true' && only('.heat').naturalWidth > 0 && !only('.heat').hidden,

  // nameless returns the controls without an accessible name.
  nameless: () => all('button, input, select, a',
    (e) => (e.ariaLabel || e.textContent.trim() || e.labels?.length ? '' : e.outerHTML)).filter(Boolean),

  // file returns a DataTransfer with a JPEG file.
  file: (base64, name) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: 'image/jpeg' }));
    return transfer;
  },

  paste: (transfer) => document.dispatchEvent(
    new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true })),

  // drag dispatches an event of dragging, and reports whether the page took it.
  drag: (kind, transfer) => !document.body.dispatchEvent(
    new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true })),

  // breakPolicy tries what the page's security policy forbids.
  breakPolicy: () => {
    const image = new Image();
    image.src = 'http://127.0.0.1:1/x.png';
    const script = document.createElement('script');
    script.textContent = 'window.broken = 1';
    document.body.append(script, image);
  },

  // contrasts returns the contrast of each element's text with its background, as in WCAG 2.2.
  contrasts: (selector) => {
    const luminance = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const background = (e) => {
      const colour = getComputedStyle(e).backgroundColor;
      return colour === 'rgba(0, 0, 0, 0)' ? background(e.parentElement) : colour;
    };
    return all(selector, (e) => {
      const [a, b] = [getComputedStyle(e).color, background(e)].map(luminance);
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
  },
});
