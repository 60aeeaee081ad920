import { expect, it } from "vitest";
import { sharedStack } from "../../harness/shared-stack.js";
import { attackColumn } from "./column.js";

const stack = await sharedStack();

it("this column's sandboxes are made by crun", async () => {
	expect((await stack.berth("doctor", "--json")).stdout).toMatch(/"found":\s*"[^"]*\bcrun\b/);
});

attackColumn("oci/crun", () => stack);
