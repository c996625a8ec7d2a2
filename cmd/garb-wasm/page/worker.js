import { load } from "./garb.js";

// The worker posts {ready}, and {answer, milliseconds} or {error, ended} for each picture that it gets.
const loading = load();
loading.then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ error: error.message, failed: true }));

onmessage = async ({ data }) => {
  try {
    const classify = await loading;
    const start = performance.now();
    const answer = classify(new Uint8Array(data));
    postMessage({ answer, milliseconds: performance.now() - start });
  } catch (error) {
    postMessage({ error: error.message, ended: error.name === "OutOfMemory" });
  }
};
