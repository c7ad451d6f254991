// The world kit-hosted on StarlingMonkey.
import * as host from "waterbear:kit/host";
import { makeHosted } from "./hosted.js";

export * from "./starlingmonkey.js";
export const { fill, lookUp, weigh, hold, discard } = makeHosted(host, BigInt);
