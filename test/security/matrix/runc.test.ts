import { afterAll, beforeAll } from "vitest";
import { Stack } from "../../harness/stack.js";
import { attackColumn } from "./column.js";

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_OCI_RUNTIME: "runc" });
});
afterAll(() => stack?.stop());

attackColumn("oci/runc", () => stack);
