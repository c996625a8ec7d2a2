// Answers to a JPEG file in WebAssembly, by garb or by ONNX Runtime Web, in node or in Chromium:
//
//   node browser.mjs garb|onnxruntime node|chromium TRY NODE_MODULES MODEL.onnx
//
// It is a worker of the benchmark, whose requests it handles: see protocol.go. TRY is the folder of `make try`;
// NODE_MODULES has what package.json names. The request "size" asks for the bytes of all that a page would load, as
// Brotli. In Chromium this file runs in the page, too, and answers what the worker passes on.

const inNode = typeof process !== "undefined";

// loaders return a function from a JPEG file to an answer.
const loaders = {
  async garb(base) {
    const { load } = await import(base + "try/garb.js");
    const classify = await load();
    return (bytes) => classify(bytes).predictions.toSorted((a, b) => a.index - b.index).map((p) => p.logit);
  },
  async onnxruntime(base) {
    const ort = await import(base + (inNode ? "modules/onnxruntime-web/dist/ort.node.min.mjs" : "modules/onnxruntime-web/dist/ort.wasm.min.mjs"));
    ort.env.wasm.numThreads = 1;
    const model = new Uint8Array(await (await fetch(base + "model.onnx")).arrayBuffer());
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    const prepare = inNode ? await prepareInNode(base) : prepareInChromium;
    return async (bytes) => {
      const data = await prepare(bytes);
      const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor("uint8", data, [1, side, side, 3]) });
      return [...outputs[session.outputNames[0]].data];
    };
  },
};

const side = 224; // of the model's input

// dropAlpha returns red, green and blue of pixels that have alpha, too.
function dropAlpha(rgba) {
  const rgb = new Uint8Array(rgba.length / 4 * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    rgb[j++] = rgba[i];
    rgb[j++] = rgba[i + 1];
    rgb[j++] = rgba[i + 2];
  }
  return rgb;
}

// prepareInChromium decodes and resizes with the browser's own code.
async function prepareInChromium(bytes) {
  const size = { resizeWidth: side, resizeHeight: side, resizeQuality: "high" };
  const bitmap = await createImageBitmap(new Blob([bytes]), size);
  const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return dropAlpha(context.getImageData(0, 0, side, side).data);
}

// prepareInNode returns a function that decodes with jpeg-js, and resizes by the mean of the pixels below each.
async function prepareInNode(base) {
  const { default: { decode } } = await import(base + "modules/jpeg-js/index.js");
  return (bytes) => {
    const { width, height, data } = decode(bytes, { useTArray: true, formatAsRGBA: false });
    const edges = (length) => Array.from({ length: side + 1 }, (_, i) => Math.floor(i * length / side));
    const [columns, rows] = [edges(width), edges(height)];
    const rgb = new Uint8Array(side * side * 3);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const sums = [0, 0, 0];
        const [right, bottom] = [Math.max(columns[x] + 1, columns[x + 1]), Math.max(rows[y] + 1, rows[y + 1])];
        for (let v = rows[y]; v < bottom; v++) {
          for (let u = columns[x]; u < right; u++) {
            for (let c = 0; c < 3; c++) sums[c] += data[(v * width + u) * 3 + c];
          }
        }
        const count = (right - columns[x]) * (bottom - rows[y]);
        for (let c = 0; c < 3; c++) rgb[(y * side + x) * 3 + c] = Math.round(sums[c] / count);
      }
    }
    return rgb;
  };
}

// makeHandler returns the function that answers requests about a picture, whose bytes read returns.
function makeHandler(kind, base, read) {
  let run;
  let bytes;
  return async ({ op, repeats, subject }) => {
    if (op === "prepare") {
      bytes = await read(subject);
      run = await loaders[kind](base);
      return {};
    }
    if (op === "output") return { output: await run(bytes) };
    const seconds = [];
    for (let i = 0; i < repeats; i++) {
      const start = performance.now();
      await run(bytes);
      seconds.push((performance.now() - start) / 1000);
    }
    return { seconds };
  };
}

// runInPage answers what the worker passes on.
async function runInPage(kind) {
  const handle = makeHandler(kind, `${location.origin}/`, async () => new Uint8Array(await (await fetch("/picture")).arrayBuffer()));
  for (let answer = null; ;) {
    const response = await fetch("/next", { method: "POST", body: JSON.stringify(answer) });
    answer = await handle(await response.json()).catch((error) => ({ error: String(error) }));
  }
}

async function runInNode([kind, host, folder, modules, model]) {
  const { createInterface } = await import("node:readline");
  const { readFileSync, readdirSync } = await import("node:fs");
  const paths = { try: folder, modules };
  const locate = (name) => {
    const [first, ...rest] = name.split("/");
    return name === "model.onnx" ? model : [paths[first], ...rest].join("/");
  };
  const version = () => JSON.parse(readFileSync(locate("modules/onnxruntime-web/package.json"))).version;
  const name = kind === "garb" ? "garb" : `ONNX Runtime Web ${version()}`;
  const start = host === "node" ? startNode : startChromium;
  const handle = await start(kind, locate, readFileSync);
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let answer;
    try {
      if (request.op === "size") {
        const dist = "modules/onnxruntime-web/dist/";
        const files = kind === "garb" ? readdirSync(folder).filter((f) => !f.endsWith(".br")).map((f) => `try/${f}`)
          : [`${dist}ort.wasm.min.mjs`, `${dist}ort-wasm-simd-threaded.mjs`, `${dist}ort-wasm-simd-threaded.wasm`, "model.onnx"];
        answer = { output: [await measureSize(files.map((f) => readFileSync(locate(f))))] };
      } else {
        answer = await handle(request);
      }
    } catch (error) {
      answer = { error: `${kind} in ${host}: ${error.stack}` };
    }
    console.log(JSON.stringify({ name, ...answer }));
  }
  process.exit(0);
}

// measureSize returns the bytes of files as Brotli.
async function measureSize(files) {
  const { brotliCompressSync, constants } = await import("node:zlib");
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 };
  return files.map((data) => brotliCompressSync(data, { params }).length).reduce((a, b) => a + b);
}

// startNode returns the function that answers requests in this process.
async function startNode(kind, locate, read) {
  const { pathToFileURL } = await import("node:url");
  const base = "bench:/";
  globalThis.fetch = async (url) => {
    const path = String(url).startsWith(base) ? locate(String(url).slice(base.length)) : url;
    return new Response(read(path), { headers: { "Content-Type": "application/wasm" } });
  };
  if (kind === "garb") (0, eval)(read(locate("try/wasm_exec.js"), "utf8"));
  const load = loaders[kind];
  loaders[kind] = () => load(base);
  const { register } = await import("node:module");
  const resolve = Object.fromEntries(["try", "modules"].map((n) => [n, pathToFileURL(locate(n)).href]));
  register("data:text/javascript," + encodeURIComponent(`
    const folders = ${JSON.stringify(resolve)};
    export const resolve = (name, context, next) =>
      next(name.replace(/^bench:\\/(try|modules)/, (_, folder) => folders[folder]), context);`));
  return makeHandler(kind, base, async ({ picture }) => new Uint8Array(read(picture)));
}

// startChromium returns the function that passes requests on to a page in the browser that GARB_BROWSER names.
async function startChromium(kind, locate, read) {
  const { createServer } = await import("node:http");
  const { spawn } = await import("node:child_process");
  const { mkdtempSync } = await import("node:fs");
  const { tmpdir } = await import("node:os");
  const types = { js: "text/javascript", mjs: "text/javascript", wasm: "application/wasm", html: "text/html" };
  let next; // is called with the page's answer, and returns a promise of the next request
  let picture;
  const server = createServer(async (request, response) => {
    const path = request.url.slice(1);
    response.setHeader("Content-Type", types[path.split(".").pop()] ?? "application/octet-stream");
    if (path === "page.html") {
      response.end(`<!doctype html><script type="module">import { runInPage } from "./browser.mjs"; runInPage("${kind}");</script>`);
    } else if (path === "next") {
      let body = "";
      for await (const part of request) body += part;
      response.end(JSON.stringify(await next(JSON.parse(body))));
    } else if (path === "picture" || path === "browser.mjs") {
      response.end(read(path === "picture" ? picture : new URL(import.meta.url)));
    } else if (/^(try|modules|model)\b/.test(path)) {
      response.end(read(locate(path)));
    } else { // an icon
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const waiting = new Promise((ready) => { next = (_) => new Promise((take) => ready(take)); });
  const browser = spawn(process.env.GARB_BROWSER, ["--headless=new", "--no-sandbox", "--disable-gpu",
    `--user-data-dir=${mkdtempSync(`${tmpdir()}/garb-bench-`)}`, `http://127.0.0.1:${server.address().port}/page.html`],
  { stdio: "ignore" });
  process.on("exit", () => browser.kill());
  let take = await waiting;
  return (request) => new Promise((done) => {
    picture = request.subject?.picture ?? picture;
    next = (answer) => new Promise((ready) => { take = ready; done(answer); });
    take(request);
  });
}

export { runInPage };
if (inNode) await runInNode(process.argv.slice(2));
