// The service worker keeps all files of one build together, so that the page works offline and never mixes files
// of two builds. `make try` fills in BUILD, the digest of the files.
const build = "garb-try-BUILD";
const files = [
  "./", "icon.svg", "page.css", "page.js", "worker.js", "garb.js", "wasm_exec.js", "garb.wasm", "simd128.wasm",
];

addEventListener("install", (event) => {
  // The server is asked whether the files in the browser's cache are current.
  const requests = files.map((file) => new Request(file, { cache: "no-cache" }));
  event.waitUntil(caches.open(build).then((cache) => cache.addAll(requests)));
});

addEventListener("activate", (event) => {
  const isOld = (name) => name.startsWith("garb-try-") && name !== build;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(isOld).map((name) => caches.delete(name)))));
});

addEventListener("fetch", (event) => {
  const found = caches.open(build).then((cache) => cache.match(event.request, { ignoreSearch: true }));
  event.respondWith(found.then((response) => response ?? fetch(event.request)));
});
