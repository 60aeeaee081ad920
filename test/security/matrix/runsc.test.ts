import { afterAll } from "vitest";
import { sharedStack } from "../../harness/shared-stack.js";
import { attackColumn } from "./column.js";

const stack = await sharedStack();
afterAll(async () => {
	// Whoever has the stack next looks at sandboxes as an OCI runtime makes them.
	const warm = (await stack.client.sandboxes()).filter(({ state }) => state === "warm" || state === "frozen");
	for (const { id } of warm) await stack.client.command({ kind: "kill", sandbox: id });
});

attackColumn("runsc", () => stack);
