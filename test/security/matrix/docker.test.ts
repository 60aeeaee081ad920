import { afterAll, beforeAll } from "vitest";
import { DockerDaemon } from "../../harness/docker-engine.js";
import { Stack } from "../../harness/stack.js";
import { attackColumn } from "./column.js";

let daemon: DockerDaemon;
let stack: Stack;
beforeAll(async () => {
	daemon = await DockerDaemon.start();
	stack = await Stack.start(daemon.settings);
});
afterAll(async () => {
	try {
		await stack?.stop();
	} finally {
		await daemon?.stop();
	}
});

attackColumn("docker", () => stack);
