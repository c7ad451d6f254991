// The workloads of test/peers as workflows of DBOS, behind Node's own HTTP server.
import http from "node:http";
import { DBOS } from "@dbos-inc/dbos-sdk";
import pg from "pg";

const base = "postgresql://postgres@127.0.0.1:5439";
const pool = new pg.Pool({ connectionString: `${base}/app`, max: 10 });
pool.on("error", () => {}); // a connection may be lost with the database

const mark = (event, id) => fetch(`http://${process.env.MARKS}/mark/${event}/${id}`);

// One statement, which takes effect once for each workflow.
const addOnce = `with new as (insert into applied(workflow) values ($2) on conflict do nothing returning 1),
  sum as (insert into counters(key, total) select $1, 1 from new on conflict (key) do update set total = counters.total + 1 returning total)
  select total from sum`;

const add = DBOS.registerWorkflow(
  (key) =>
    DBOS.runStep(async () => {
      const { rows } = await pool.query({ name: "add", text: addOnce, values: [key, DBOS.workflowID] });
      return Number(rows[0].total);
    }),
  { name: "add" },
);

const steps = async (n) => {
  for (let i = 0; i < n; i++) await DBOS.runStep(async () => i, { name: "step" });
};
const flow = DBOS.registerWorkflow(steps, { name: "flow" });
const echo = DBOS.registerWorkflow(async (text) => text, { name: "echo" });

// With steps it says when they are done, and that it goes on behind the wait.
const sleeper = DBOS.registerWorkflow(
  async (n) => {
    await steps(n);
    if (n > 0) await mark("steps", DBOS.workflowID);
    await DBOS.recv("wake", 3600);
    if (n > 0) await DBOS.runStep(async () => void (await mark("next", DBOS.workflowID)), { name: "next" });
  },
  { name: "sleeper" },
);

const bodyOf = async (request) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
};

const verbs = {
  health: async () => "ok",
  add: async (_, key) => (await DBOS.startWorkflow(add)(key)).getResult(),
  flow: async (_, id, n) => (await DBOS.startWorkflow(flow, { workflowID: id })(Number(n))).getResult(),
  sleep: async (_, id, n) => void (await DBOS.startWorkflow(sleeper, { workflowID: id })(Number(n))),
  wake: async (_, id) => DBOS.send(id, "wake", "wake"),
  woken: async (_, id) => DBOS.retrieveWorkflow(id).getResult({ pollingIntervalMs: 5 }),
  echo: async (request) => (await DBOS.startWorkflow(echo)(await bodyOf(request))).getResult(),
};

// The database may still be recovering.
for (;;) {
  try {
    await pool.query("create table if not exists counters(key text primary key, total bigint); create table if not exists applied(workflow text primary key)");
    break;
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
DBOS.setConfig({ name: "peers", systemDatabaseUrl: `${base}/dbos`, logLevel: "error", applicationVersion: "1" });
await DBOS.launch();
http
  .createServer(async (request, response) => {
    const [, verb, ...args] = request.url.split("/");
    try {
      response.end(JSON.stringify((await verbs[verb](request, ...args)) ?? null));
    } catch (error) {
      response.statusCode = 500;
      response.end(String(error));
    }
  })
  .listen(8090, "127.0.0.1");
