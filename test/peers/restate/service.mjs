// The workloads of test/peers as services of Restate.
import * as restate from "@restatedev/restate-sdk";

// Node.js has this from version 22 on, and the SDK calls it.
Promise.withResolvers ??= () => {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const mark = (event, id) => fetch(`http://${process.env.MARKS}/mark/${event}/${id}`);

const steps = async (ctx, n) => {
  for (let i = 0; i < n; i++) await ctx.run("step", () => i);
};

const counter = restate.object({
  name: "Counter",
  handlers: {
    add: async (ctx, n) => {
      const total = ((await ctx.get("total")) ?? 0) + n;
      ctx.set("total", total);
      return total;
    },
  },
});

const flow = restate.workflow({ name: "Flow", handlers: { run: (ctx, n) => steps(ctx, n) } });

// With steps it says when they are done, and that it goes on behind the wait.
const sleeper = restate.workflow({
  name: "Sleeper",
  handlers: {
    run: async (ctx, n) => {
      await steps(ctx, n);
      if (n > 0) await mark("steps", ctx.key);
      await ctx.promise("wake").get().orTimeout({ hours: 1 });
      if (n > 0) await ctx.run("next", () => mark("next", ctx.key).then(() => "next"));
    },
    wake: (ctx) => ctx.promise("wake").resolve("wake"),
  },
});

const echo = restate.service({ name: "Echo", handlers: { call: async (_, text) => text } });

restate.serve({ services: [counter, flow, sleeper, echo], port: 9080 });
