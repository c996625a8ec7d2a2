import "./wasm_exec.js"; // of Go: it defines Go

// load downloads garb.wasm and simd128.wasm from the folder of this file, and resolves to classify(bytes).
// bytes is a Uint8Array with a picture's file: JPEG, PNG, WebP, GIF, BMP, TIFF or ICO. classify returns the answer,
// an object with the fields of garb.Answer, and throws an Error for a file that is no picture or is too large.
// It blocks: call it in a worker. After an error whose name is "OutOfMemory", load again in a new worker.
export async function load(base = new URL(".", import.meta.url)) {
  const compile = (name) => WebAssembly.compileStreaming(fetch(new URL(name, base)));
  const [program, kernels] = await Promise.all([compile("garb.wasm"), compile("simd128.wasm").catch(explain)]);
  const go = new Go();
  let simd; // its memory is the program's, which needs simd's functions
  go.importObject.garb = Object.fromEntries(WebAssembly.Module.exports(kernels).map(
    ({ name }) => [name, (tile) => simd[name](tile)]));
  const instance = await WebAssembly.instantiate(program, go.importObject);
  simd = (await WebAssembly.instantiate(kernels, { garb: { memory: instance.exports.mem } })).exports;
  const call = await new Promise((resolve, reject) => {
    globalThis.garbReady = (classify, error) => (error === null ? resolve(classify) : reject(new Error(error)));
    go.run(instance);
  }).finally(() => delete globalThis.garbReady);
  return (bytes) => {
    const { answer, error } = tryCall(call, bytes);
    if (error !== undefined) throw new Error(error);
    return JSON.parse(answer);
  };
}

function explain(error) {
  if (!(error instanceof WebAssembly.CompileError)) throw error;
  throw new Error("This browser has no SIMD for WebAssembly. Use Chrome 91, Firefox 89, Safari 16.4 or later.");
}

// tryCall calls the program. If it returns nothing, the program has ended: only missing memory ends it.
function tryCall(call, bytes) {
  let result;
  try {
    result = call(bytes);
  } catch (error) {
    console.error(error);
  }
  if (result !== undefined) return result;
  const error = new Error("The picture needs more memory than the browser grants. Make it smaller.");
  error.name = "OutOfMemory";
  throw error;
}
