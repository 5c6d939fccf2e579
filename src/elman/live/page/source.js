// Where answers come from: the server that gave the page, or the model that the page brings along.

import { ask, forget, fork, session } from "./api.js";
import { local } from "./local.js";
import { Stream, Watch } from "./stream.js";

const server = {
  model: () => ask("v1/model"),
  open: (key, steps, told) => new Stream(key, steps, told),
  fork,
  forget,
  keys: async () => (await ask("v1/sessions?most=200")).keys,
  stepsOf: async (key) => (await ask(session(key))).steps,
  watch: (key, came, told) => new Watch(key, came, told),
};

export const source = (await local()) ?? server;
