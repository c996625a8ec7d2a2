// Sends large bodies by one of Node's clients to a server that refuses them, and counts the statuses that were read.
//
// Usage: node client.mjs http|fetch|http2 BASE TRIES SIZE... -- STATUS...

import http from "node:http";
import http2 from "node:http2";

const [client, base, tries, ...rest] = process.argv.slice(2);
const split = rest.indexOf("--");
const sizes = rest.slice(0, split).map(Number);
const statuses = rest.slice(split + 1);

const send = {
  http: (url, body) =>
    new Promise((resolve, reject) => {
      const request = http.request(url, { method: "POST", agent: false }, (answer) => {
        answer.resume();
        answer.on("end", () => resolve(answer.statusCode));
        answer.on("error", reject);
      });
      request.on("error", reject);
      request.end(body);
    }),
  fetch: async (url, body) => {
    const answer = await fetch(url, { method: "POST", body });
    await answer.arrayBuffer();
    return answer.status;
  },
  http2: (url, body) =>
    new Promise((resolve, reject) => {
      const session = http2.connect(base, {
        maxSessionMemory: 100, // MB; the default is 10
        rejectUnauthorized: false,
      });
      session.on("error", reject);
      const request = session.request({ ":method": "POST", ":path": new URL(url).pathname });
      let status;
      request.on("response", (headers) => (status = headers[":status"]));
      request.on("error", reject);
      request.resume();
      request.on("close", () => {
        session.close();
        resolve(status);
      });
      request.end(body);
    }),
}[client];

let read = 0;
for (const size of sizes) {
  const body = Buffer.alloc(size);
  for (const status of statuses) {
    for (let attempt = 0; attempt < Number(tries); attempt++) {
      let failure;
      try {
        const have = await send(`${base}/${status}`, body);
        if (String(have) !== status.split("-")[0]) failure = `status ${have}`;
      } catch (error) {
        failure = `${error} ${error.cause ?? ""}`;
      }
      if (failure) console.log(`${size} bytes, ${status}, try ${attempt}: ${failure}`);
      else read++;
    }
  }
}
console.log(`read ${read}`);
