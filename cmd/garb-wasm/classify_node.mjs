// Classify pictures with garb.wasm in node, as a page does with garb.js. It prints a line of JSON for each:
//
//   node classify_node.mjs FOLDER PICTURE...
//
// FOLDER has garb.js, garb.wasm, simd128.wasm and wasm_exec.js.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, ...pictures] = process.argv.slice(2);
const base = pathToFileURL(resolve(folder) + "/");
globalThis.fetch = async (url) => new Response(readFileSync(url), { headers: { "Content-Type": "application/wasm" } });
(0, eval)(readFileSync(new URL("wasm_exec.js", base), "utf8"));

const start = performance.now();
const { load } = await import(new URL("garb.js", base));
const classify = await load(base);
console.error(`ready in ${(performance.now() - start).toFixed(0)} ms`);
for (const picture of pictures) {
  const before = performance.now();
  let line;
  try {
    line = classify(readFileSync(picture));
  } catch (error) {
    line = { error: error.message };
  }
  console.error(`${(performance.now() - before).toFixed(0)} ms`);
  console.log(JSON.stringify({ picture, ...line }));
}
process.exit(0);
