import { afterAll, beforeAll, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { Deployed, freshName } from "../harness/functions.js";
import { Stack } from "../harness/stack.js";

let stack: Stack;
beforeAll(async () => {
	// A machine that does other things as well takes its time.
	stack = await Stack.start({ BERTH_INSTALL_TIMEOUT_MS: "900000" });
});
afterAll(async () => {
	await stack?.stop();
});

it("better-sqlite3 of npm's own registry is compiled from its source, by a script that the manifest allows", async () => {
	const name = freshName("sqlite");
	const bytes = tarGz(
		{
			path: "index.ts",
			body: `import Database from "better-sqlite3";
				export default () => new Database(":memory:").prepare("select 6 * 7 as answer").get();`,
		},
		{ path: "package.json", body: JSON.stringify({ dependencies: { "better-sqlite3": "12.11.1" } }) },
	);
	const { version } = await stack.client.deployArchive(name, { kind: "tar.gz", bytes, manifest: { scripts: ["better-sqlite3"] } });
	expect(await new Deployed(stack, name, version).result()).toEqual({ answer: 42 });
});
