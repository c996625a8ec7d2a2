// Run a test program of Go with the SIMD kernels in node:
//
//   GOOS=js GOARCH=wasm go test -tags simd128 -exec "node --stack-size=8192 $PWD/cmd/garb-wasm/test_node.cjs" ./internal/kernel
//
// It links the kernels as page/garb.js does; node's file system and Go's other needs are as in Go's own
// lib/wasm/wasm_exec_node.js.
const { execFileSync } = require("node:child_process");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");

Object.assign(globalThis, { fs: require("node:fs"), path: require("node:path") });
require(join(execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim(), "lib/wasm/wasm_exec.js"));

async function run([program, ...argv]) {
  const kernels = new WebAssembly.Module(readFileSync(join(__dirname, "../../internal/kernel/simd128.wasm")));
  const go = new Go();
  Object.assign(go, { argv: [program, ...argv], env: { TMPDIR: "/tmp", ...process.env }, exit: process.exit });
  let simd;
  go.importObject.garb = Object.fromEntries(WebAssembly.Module.exports(kernels).map(
    ({ name }) => [name, (argument) => simd[name](argument)]));
  const { instance } = await WebAssembly.instantiate(readFileSync(program), go.importObject);
  simd = new WebAssembly.Instance(kernels, { garb: { memory: instance.exports.mem } }).exports;
  process.on("exit", (code) => {
    if (code === 0 && !go.exited) { // nothing is left to wait for: Go prints the stacks of the deadlock
      go._pendingEvent = { id: 0 };
      go._resume();
    }
  });
  await go.run(instance);
}

run(process.argv.slice(2)).catch((error) => { console.error(error); process.exit(1); });
