import { afterAll, beforeAll, expect, it } from "vitest";
import { Stack } from "../../harness/stack.js";
import { attackColumn } from "./column.js";

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_OCI_RUNTIME: "runc" });
});
afterAll(() => stack?.stop());

it("this column's sandboxes are made by runc", async () => {
	expect((await stack.berth("doctor", "--json")).stdout).toMatch(/"found":\s*"[^"]*\brunc\b/);
});

attackColumn("oci/runc", () => stack);
