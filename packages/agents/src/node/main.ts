import { stat } from "node:fs";
import { FROM_AGENT, SANDBOX_PATHS, SERVE } from "@berth/contracts/agent";
import { Agent } from "./agent.js";
import { boundOutput } from "./bounded-output.js";
import { markLevels } from "./levels.js";
import { Link } from "./link.js";
import { serve } from "./serve.js";

const [word, ...more] = process.argv.slice(2);
if (word === SERVE) void serve(more, (link) => new Agent(link));
else beThere(word);

/** A sandbox's agent. @param builtIn what a build sandbox comes with */
function beThere(builtIn: string | undefined): void {
	// Whoever reads what a build prints wants it as it is.
	if (builtIn === undefined) {
		boundOutput();
		markLevels();
	}
	const link = new Link(SANDBOX_PATHS.socket, (frame) => void agent.take(frame));
	const agent = new Agent(link);
	if (builtIn !== undefined) agent.useBuiltIn(require(builtIn));
	// The first use of libuv's thread pool starts its threads: whoever counts tasks from hello on counts them all.
	stat("/", () => undefined);
	link.send(FROM_AGENT.hello, { node: process.version });
}
