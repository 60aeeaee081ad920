import { stat } from "node:fs";
import { FROM_AGENT, SANDBOX_PATHS, SERVE } from "@berth/contracts/agent";
import { Link } from "../node/link.js";
import { serve } from "../node/serve.js";
import { Bridge } from "./bridge.js";

const [word, ...more] = process.argv.slice(2);
if (word === SERVE) void serve(more, (link) => new Bridge(link));
else beThere();

function beThere(): void {
	const link = new Link(SANDBOX_PATHS.socket, (frame) => void bridge.take(frame));
	const bridge = new Bridge(link);
	// The first use of libuv's thread pool starts its threads: before hello, not in somebody's first invocation.
	stat("/", () => undefined);
	link.send(FROM_AGENT.hello, { node: process.version });
}
