import { DockerNode, type DockerNodeSpec } from "./docker-node.js";
import { LaunchedNode, type LaunchedNodeSpec } from "./launched-node.js";
import type { TestNode } from "./node.js";
import { PROMISES } from "./promises.js";
import { report } from "./report.js";
import { underLoad } from "./under-load.js";

/** What is to be tried: the one argument of this program, as JSON. `doomed` has sandboxes, says so, and waits to be killed. */
export type TrialSpec = { readonly launched: LaunchedNodeSpec } | { readonly docker: DockerNodeSpec } | { readonly doomed: DockerNodeSpec };

/** Tries every promise on a node, and says a line of JSON of each: a process of its own is a worker, with a worker's rights. */
const spec = JSON.parse(process.argv[2] ?? "") as TrialSpec;
if ("doomed" in spec) {
	const node = await DockerNode.start(spec.doomed);
	await report("doomed", () => underLoad(node));
} else {
	const node: TestNode = "launched" in spec ? await LaunchedNode.start(spec.launched) : await DockerNode.start(spec.docker);
	for (const { key, tried } of PROMISES) await report(key, () => tried(node));
	process.exit(0);
}
