const element = (id) => document.getElementById(id);

// sentences are what the page says about the codes of garb.js and of itself.
const sentences = {
  download: "The model could not be downloaded. Check the connection, and reload the page.",
  versions: "The page and the model are of different versions. Reload the page. If that does not help, delete this site's data in the browser's settings.",
  no_simd: "This browser is too old: its WebAssembly has no SIMD. Use Chrome 91, Firefox 89, Safari 16.4 or later.",
  out_of_memory: "This picture needs more memory than the browser allows. Try a smaller one.",
  not_a_picture: "This file is no picture that the page can read. It reads JPEG, PNG and WebP.",
  unsupported: "The page cannot read this kind of picture. Save it as JPEG or PNG, and try again.",
  too_large: "This picture is too large. Make it smaller, and try again.",
  corrupt: "This picture is damaged. Try another copy of it.",
  unreadable: "The browser cannot read this file.",
  no_camera: "There is no camera, or this page may not use it. Choose a picture instead.",
  broken: "Something went wrong. Reload the page.",
};

const maxBytes = 64 * 2 ** 20; // garb's limit

let worker;
let loading;
let busy = false; // with a picture
let next; // the file that was dropped or pasted last while the page was loading or busy

function say(text, isError = false) {
  element("state").textContent = text;
  element("state").classList.toggle("error", isError);
}

// fail says what went wrong. For people who look for more, the console has the detail.
function fail(code, detail) {
  console.info(`garb: ${code}: ${detail ?? ""}`);
  say(sentences[code] ?? sentences.broken, true);
  element("result").hidden = true;
}

// start starts a worker, which loads the model.
function start() {
  loading = true;
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => receive(data);
  worker.onerror = (event) => fail("download", event.message);
}

function receive({ ready, answer, milliseconds, code, detail }) {
  const wasBusy = busy;
  busy = false;
  if (ready) {
    loading = false;
    element("choose").hidden = false;
    if (!element("state").classList.contains("error")) say("Ready."); // an error is still to be read
    keepForOffline();
  } else if (answer) {
    say(`Answered in ${Math.max(1, Math.round(milliseconds))} ms.`);
    show(answer);
  } else {
    fail(code, detail);
    if (wasBusy && (code === "out_of_memory" || code === "broken")) { // the program has ended
      worker.terminate();
      start();
    }
  }
  if (next && !loading) {
    const file = next;
    next = undefined;
    classify(file);
  }
}

// keepForOffline has the service worker store the page's files, which the browser's cache has by now.
function keepForOffline() {
  navigator.serviceWorker?.register("sw.js").catch((error) => console.info(`garb: not kept for offline use: ${error.message}`));
}

const percent = (value) => `${(100 * value).toFixed(1)} %`;

function show({ accepted, class: best, probability, refusal, predictions }) {
  element("answer").textContent = accepted ? `${best}, ${percent(probability)}` : refusal;
  element("closest").textContent = accepted ? "The most likely classes:" : "The closest classes, if it were clothing:";
  element("classes").replaceChildren(...predictions.slice(0, 5).map((prediction) => {
    const row = document.createElement("li");
    const bar = document.createElement("progress");
    bar.value = prediction.probability;
    bar.ariaHidden = "true"; // the figure says it
    const [name, value] = [prediction.class, percent(prediction.probability)].map((text) => {
      const span = document.createElement("span");
      span.textContent = text;
      return span;
    });
    row.append(name, bar, value);
    return row;
  }));
  element("result").hidden = false;
}

// classify shows a file and sends it to the worker, as soon as that is free.
async function classify(file) {
  if (!file) return;
  if (loading || busy) {
    next = file;
    return;
  }
  if (file.size > maxBytes) return fail("too_large", `${file.size} bytes`);
  busy = true;
  say("Classifying …");
  const image = element("picture");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  try {
    const bytes = await file.arrayBuffer();
    worker.postMessage(bytes, [bytes]);
  } catch (error) {
    busy = false;
    fail("unreadable", error.message);
  }
}

element("file").addEventListener("change", ({ target }) => {
  classify(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
addEventListener("dragover", (event) => { event.preventDefault(); element("drop").classList.add("over"); });
addEventListener("dragleave", () => element("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  classify(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => classify(event.clipboardData.files[0]));

// The camera.
const dialog = element("camera");
const video = element("video");

element("photo").addEventListener("click", async () => {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    dialog.showModal();
  } catch (error) {
    fail("no_camera", error.message);
  }
});
element("shoot").addEventListener("click", () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  if (canvas.width === 0) return; // the camera has not begun
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob(classify, "image/png");
  dialog.close();
});
element("cancel").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  video.srcObject.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
});

say("Loading the model (5 MB) …");
start();
