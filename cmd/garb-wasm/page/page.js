const element = (id) => document.getElementById(id);
const say = (text) => { element("state").textContent = text; };

let worker;

// start starts a worker, which loads the model.
function start() {
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => receive(data);
  worker.onerror = () => say("garb could not be loaded. Reload the page.");
}

function receive({ ready, answer, milliseconds, error, ended }) {
  if (ready) {
    say("Ready.");
    element("choose").hidden = false;
  } else if (answer) {
    say(`Answered in ${milliseconds.toFixed(0)} ms.`);
    show(answer);
  } else {
    say(error);
  }
  if (ended) {
    worker.terminate();
    start();
  }
}

const percent = (value) => `${(100 * value).toFixed(1)} %`;

function show({ accepted, class: name, refusal, predictions }) {
  element("answer").hidden = false;
  element("answer").textContent = accepted ? name : refusal;
  element("classes").replaceChildren(...predictions.slice(0, 5).map((prediction) => {
    const row = document.createElement("li");
    const meter = document.createElement("meter");
    meter.value = prediction.probability;
    const [label, value] = [prediction.class, percent(prediction.probability)].map((text) => {
      const span = document.createElement("span");
      span.textContent = text;
      return span;
    });
    row.append(label, meter, value);
    return row;
  }));
}

// classify shows a file and sends it to the worker.
async function classify(file) {
  if (!file) return;
  const image = element("picture");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  image.parentElement.hidden = false;
  element("answer").hidden = true;
  element("classes").replaceChildren();
  say("Classifying …");
  try {
    const bytes = await file.arrayBuffer();
    worker.postMessage(bytes, [bytes]);
  } catch (error) {
    say(`The file cannot be read: ${error.message}`);
  }
}

for (const id of ["file", "camera"]) {
  element(id).addEventListener("change", ({ target }) => {
    classify(target.files[0]);
    target.value = "";
  });
}
addEventListener("dragover", (event) => { event.preventDefault(); element("drop").classList.add("over"); });
addEventListener("dragleave", () => element("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  classify(event.dataTransfer.files[0]);
});

say("Loading the model, about 6 MB …");
start();
navigator.serviceWorker?.register("sw.js").catch((error) => console.error(error));
