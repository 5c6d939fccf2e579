// Where answers come from: the server that gave the page, or the model that the page brings along.

import { ask, forget, fork } from "./api.js";
import { local } from "./local.js";
import { Stream } from "./stream.js";

const server = {
  model: () => ask("/v1/model"),
  open: (key, steps, told) => new Stream(key, steps, told),
  fork,
  forget,
};

export const source = (await local()) ?? server;
