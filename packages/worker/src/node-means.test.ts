import { manifestSchema } from "@berth/contracts";
import { expect, test } from "vitest";
import { nodeLack } from "./node-means.js";

const WITHOUT = { runtimeClasses: { runsc: { missing: "there is none" } }, labels: { zone: "a" } } as const;
const lack = (manifest: object) => nodeLack(manifestSchema.parse(manifest), WITHOUT);

test("a node says what it lacks of a version's class and labels", () => {
	expect(lack({})).toBeUndefined();
	expect(lack({ nodeSelector: { zone: "a" } })).toBeUndefined();
	expect(lack({ nodeSelector: { zone: "a", gpu: "true" } })).toBe("a node with the labels zone=a,gpu=true");
	expect(lack({ runtimeClass: "runsc" })).toBe("the runtime class runsc");
});
