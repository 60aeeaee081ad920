import { manifestSchema } from "@berth/contracts";
import type { NodeDirectory, NodeInfo } from "@berth/queue";
import { expect, test } from "vitest";
import { lackOf, nodeFor, refuseUnrunnable } from "./placement.js";

const NAMES = Array.from({ length: 40 }, (_, at) => `f${at}`);

/** The nodes that so many functions are placed on. */
function placesOf(nodes: readonly Partial<NodeInfo>[], runtimeClass?: "runsc"): readonly string[] {
	const directory = directoryOf(nodes);
	const manifest = manifestSchema.parse({ runtimeClass });
	return [...new Set(NAMES.map((name) => nodeFor(directory, { project: "default", function: name, manifest })))].sort();
}

function directoryOf(nodes: readonly Partial<NodeInfo>[]): NodeDirectory {
	return { nodes: () => nodes } as unknown as NodeDirectory;
}

const PLAIN = [{ id: "a" }, { id: "b", runtimeClasses: [] }];
const ABLE: Partial<NodeInfo> = { id: "c", runtimeClasses: ["runsc"] };

test("functions are spread over the nodes, and those with a runtime class over the nodes that have it", () => {
	expect(placesOf([...PLAIN, ABLE])).toEqual(["a", "b", "c"]);
	expect(placesOf([...PLAIN, ABLE], "runsc")).toEqual(["c"]);
	expect(placesOf([...PLAIN, { ...ABLE, draining: true }, { ...ABLE, id: "d" }], "runsc")).toEqual(["d"]);
});

test("where no node has it one of them says why; where there is none at all nothing can run", () => {
	expect(placesOf(PLAIN, "runsc")).toEqual(["a", "b"]);
	expect(() => placesOf([], "runsc")).toThrow("no worker takes invocations");
});

test("background work that no node can run says what it waits for", () => {
	const lack = (nodes: readonly Partial<NodeInfo>[], runtimeClass?: "runsc") =>
		lackOf(directoryOf(nodes), manifestSchema.parse({ runtimeClass }));
	expect(lack(PLAIN)).toBeUndefined();
	expect(lack([...PLAIN, ABLE], "runsc")).toBeUndefined();
	expect(lack([...PLAIN, { ...ABLE, draining: true }], "runsc")).toContain("no node has the runtime class runsc");
	expect(lack([])).toContain("no worker takes invocations");
});

test("a node whose worker is started again gets what no other node takes meanwhile, one of another protocol nothing", () => {
	const returning: Partial<NodeInfo> = { id: "r", draining: true, returns: true };
	expect(placesOf([returning])).toEqual(["r"]);
	expect(placesOf([returning, ...PLAIN])).toEqual(["a", "b"]);
	expect(placesOf([{ id: "new", protocol: 99 }, ...PLAIN])).toEqual(["a", "b"]);
	expect(() => placesOf([{ id: "new", protocol: 99 }])).toThrow("no worker takes invocations");
});

test("what no node can run is refused before anything of it is stored; where one can, or may, it isn't", () => {
	const refused = (nodes: readonly Partial<NodeInfo>[], manifest: object) => () =>
		refuseUnrunnable(directoryOf(nodes), manifestSchema.parse(manifest));
	const poor: Partial<NodeInfo> = { id: "a", lacks: { network: "no nft", runtimeClasses: { runsc: "no runsc" } } };
	const rich: Partial<NodeInfo> = { ...ABLE, lacks: { runtimeClasses: {} } };
	expect(refused([poor], { runtimeClass: "runsc" })).toThrow(
		expect.objectContaining({ code: "runtime_class_unavailable", message: "no runsc" }),
	);
	expect(refused([poor], { network: "internet" })).toThrow(expect.objectContaining({ code: "network_unavailable", message: "no nft" }));
	for (const nodes of [[poor, rich], [poor, { id: "old" }], []]) {
		expect(refused(nodes, { runtimeClass: "runsc" })).not.toThrow();
		expect(refused(nodes, { network: "internet" })).not.toThrow();
	}
	expect(refused([poor], {})).not.toThrow();
});

const ZONES: Partial<NodeInfo>[] = [
	{ id: "a", labels: { zone: "a" } },
	{ id: "b", labels: { zone: "b", gpu: "true" }, runtimeClasses: ["runsc"] },
];

test("a function with a selector is placed on nodes with all of its labels, and refused with the cause where there is none", () => {
	const place = (manifest: object, nodes: readonly Partial<NodeInfo>[] = ZONES) =>
		NAMES.map((name) => nodeFor(directoryOf(nodes), { project: "default", function: name, manifest: manifestSchema.parse(manifest) }));
	expect(new Set(place({ nodeSelector: { zone: "b" } }))).toEqual(new Set(["b"]));
	expect(new Set(place({ nodeSelector: {} }))).toEqual(new Set(["a", "b"]));
	expect(() => place({ nodeSelector: { zone: "a", gpu: "true" } })).toThrow(/no node that takes work has the labels zone=a,gpu=true/);
	expect(() => place({ nodeSelector: { zone: "a" } }, [{ id: "a", labels: { zone: "a" }, draining: true }, { id: "b" }])).toThrow("zone=a");
	expect(() => place({ nodeSelector: { zone: "a" } }, [])).toThrow("no worker takes invocations");
});

test("background work says which labels, and which class among those with them, it waits for", () => {
	const lack = (manifest: object) => lackOf(directoryOf(ZONES), manifestSchema.parse(manifest));
	expect(lack({ nodeSelector: { gpu: "true" }, runtimeClass: "runsc" })).toBeUndefined();
	expect(lack({ nodeSelector: { zone: "c" } })).toContain("has the labels zone=c");
	expect(lack({ nodeSelector: { zone: "a" }, runtimeClass: "runsc" })).toContain(
		"no node of those with zone=a has the runtime class runsc",
	);
});
