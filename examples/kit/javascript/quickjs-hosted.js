// The world kit-hosted on QuickJS.
import host from "waterbear:kit/host";
import { makeHosted } from "./hosted.js";

export * from "./quickjs.js";
export const { fill, lookUp, weigh, hold, discard } = makeHosted(host, Number);
