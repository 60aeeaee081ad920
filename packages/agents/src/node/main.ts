import { stat } from "node:fs";
import { FROM_AGENT, SANDBOX_PATHS } from "@berth/contracts/agent";
import { Agent } from "./agent.js";
import { Link } from "./link.js";

const link = new Link(SANDBOX_PATHS.socket, (frame) => void agent.take(frame));
const agent = new Agent(link);
const builtIn = process.argv[2];
if (builtIn !== undefined) agent.useBuiltIn(require(builtIn));
// The first use of libuv's thread pool starts its threads: whoever counts tasks from hello on counts them all.
stat("/", () => undefined);
link.send(FROM_AGENT.hello, { node: process.version });
