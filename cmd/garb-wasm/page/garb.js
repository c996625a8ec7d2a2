// load downloads garb.wasm and simd128.wasm from the folder that base names, and resolves to classify(bytes).
// bytes is a Uint8Array with a picture's file: JPEG, PNG, WebP, GIF, BMP, TIFF or ICO. classify returns the answer,
// an object with the fields of garb.Answer, and throws an Error for a file that is no picture or is too large.
// It blocks: call it in a worker. wasm_exec.js, which comes with Go, must have been loaded before.
export async function load(base = new URL(".", import.meta.url)) {
  const go = new Go();
  const compile = (name) => WebAssembly.compileStreaming(fetch(new URL(name, base)));
  const [program, kernels] = await Promise.all([compile("garb.wasm"), compile("simd128.wasm")]);
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
    const { answer, error } = call(bytes);
    if (error !== undefined) throw new Error(error);
    return JSON.parse(answer);
  };
}
