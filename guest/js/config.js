import * as module from "waterbear:durable/config@0.1.0";
import { attempt, engine } from "./engine.js";

const { host } = engine(module);
const explain = (why) => new Error(why);

export const get = (name) => attempt(explain, () => host.get(name)) ?? undefined;
export const getAll = () => attempt(explain, () => host.getAll());
