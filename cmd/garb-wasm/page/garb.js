import "./wasm_exec.js"; // of Go: it defines Go

// The programs and their digests. `make try` fills these in, so that files of different builds are noticed.
const programs = { "garb.wasm": "GARB_DIGEST", "simd128.wasm": "KERNELS_DIGEST" };

// load downloads garb.wasm and simd128.wasm from the folder of this file, and resolves to classify(bytes).
// bytes is a Uint8Array with a picture's file: JPEG, PNG, WebP, GIF, BMP, TIFF or ICO. classify returns the answer:
// {class, probability, accepted, acceptance, refusal, predictions: [{class, probability, logit, index}], model_digest}.
// Both throw a Problem. classify blocks: call it in a worker. After "out_of_memory", load again in a new worker.
export async function load(base = new URL(".", import.meta.url)) {
  const [program, kernels] = await Promise.all(Object.keys(programs).map((name) => compile(name, base)));
  const go = new Go();
  let simd; // its memory is the program's, which needs simd's functions
  go.importObject.garb = Object.fromEntries(WebAssembly.Module.exports(kernels).map(
    ({ name }) => [name, (argument) => simd[name](argument)]));
  const instance = await WebAssembly.instantiate(program, go.importObject);
  simd = (await WebAssembly.instantiate(kernels, { garb: { memory: instance.exports.mem } })).exports;
  const call = await new Promise((resolve, reject) => {
    globalThis.garbReady = (classify, error) => (error ? reject(new Problem("broken", error)) : resolve(classify));
    go.run(instance).then(() => reject(new Problem("out_of_memory"))); // it only ends if it has no memory
  }).finally(() => delete globalThis.garbReady);
  return (bytes) => {
    const { answer, code, error } = call(bytes) ?? { code: "out_of_memory" };
    if (code) throw new Problem(code, error);
    return JSON.parse(answer);
  };
}

// Problem is an error with a code: one of those below, or garb's "not_a_picture", "unsupported", "too_large" and
// "corrupt".
export class Problem extends Error {
  constructor(code, detail) {
    super(detail ?? code);
    this.code = code;
  }
}

// compile downloads and compiles a program of this build. The codes of its problems are "download", "versions" (the
// server or a cache has the program of another build) and "no_simd".
async function compile(name, base) {
  const get = (options) => fetch(new URL(name, base), options);
  const whole = async (response) => {
    if (!response.ok) throw new Problem("download", `${name}: status ${response.status}`);
    return response;
  };
  const integrity = programs[name];
  const response = await get({ integrity })
    .catch(() => get({ integrity, cache: "reload" })) // the browser's cache may have an old one
    .catch(() => get({}).then(whole).then(
      () => { throw new Problem("versions", `${name} is of another build`); },
      (error) => { throw error.code ? error : new Problem("download", `${name}: ${error.message}`); }))
    .then(whole);
  return WebAssembly.compileStreaming(response).catch((error) => {
    throw new Problem(name === "simd128.wasm" ? "no_simd" : "broken", error.message);
  });
}
