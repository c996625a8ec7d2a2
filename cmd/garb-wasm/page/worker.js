import { load } from "./garb.js";

// The worker posts {ready}, and for each picture that it gets {answer, milliseconds} or {code, detail}. Without a
// picture, {code, detail} says that the model could not be loaded.
const loading = load();
const report = ({ code = "broken", message }) => postMessage({ code, detail: message });
loading.then(() => postMessage({ ready: true }), report);

onmessage = async ({ data }) => {
  const classify = await loading;
  try {
    const start = performance.now();
    const answer = classify(new Uint8Array(data));
    postMessage({ answer, milliseconds: performance.now() - start });
  } catch (error) {
    report(error);
  }
};
