import { manifestSchema } from "@berth/contracts";
import type { NodeDirectory, NodeInfo } from "@berth/queue";
import { expect, test } from "vitest";
import { NodeLoads } from "./node-loads.js";
import { lackOf, Placement, refuseUnrunnable } from "./placement.js";

const NAMES = Array.from({ length: 40 }, (_, at) => `f${at}`);

/** The nodes that so many functions are placed on. */
function placesOf(nodes: readonly Partial<NodeInfo>[], runtimeClass?: "runsc"): readonly string[] {
	const directory = directoryOf(nodes);
	const manifest = manifestSchema.parse({ runtimeClass });
	const placement = new Placement(directory);
	return [...new Set(NAMES.map((name) => placement.nodeFor({ project: "default", function: name, number: 1, manifest })))].sort();
}

function directoryOf(nodes: readonly Partial<NodeInfo>[], unlisted?: string): NodeDirectory {
	return { nodes: () => nodes, unlisted: () => unlisted } as unknown as NodeDirectory;
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

test("where every node is drained it says so, which, and how one works again; one that is about to return isn't meant", () => {
	const drained = (...ids: readonly string[]) => ids.map((id): Partial<NodeInfo> => ({ id, draining: true }));
	expect(() => placesOf(drained("a", "b"))).toThrow(
		expect.objectContaining({
			code: "unavailable",
			message: expect.stringMatching(/^no node takes work: a, b are drained.*`berth drain --undo <node>`/),
		}),
	);
	expect(() => placesOf(drained("a", "b", "c", "d", "e", "f", "g"))).toThrow("a, b, c, d, e and 2 more are drained");
	expect(lackOf(directoryOf(drained("a")), manifestSchema.parse({}))).toContain("a is drained");
	expect(placesOf([...drained("a"), { id: "b" }])).toEqual(["b"]);
});

test("where nodes may be missing from the list, it is said why, and none of them is blamed, nor is a label that one of them has", () => {
	const why = "the fast Redis came back without their leases";
	const place = (nodes: readonly Partial<NodeInfo>[], manifest: object) => () =>
		new Placement(directoryOf(nodes, why)).nodeFor({
			project: "default",
			function: "f",
			number: 1,
			manifest: manifestSchema.parse(manifest),
		});
	const refused = expect.objectContaining({ code: "unavailable", message: why });
	expect(place([], {})).toThrow(refused);
	expect(place([{ id: "a", draining: true }], {})).toThrow(refused);
	expect(place([{ id: "a" }], { nodeSelector: { zone: "b" } })).toThrow(refused);
	expect(place([{ id: "a" }], {})()).toBe("a");
	expect(lackOf(directoryOf([], why), manifestSchema.parse({}))).toBe(why);
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
		NAMES.map((name) =>
			new Placement(directoryOf(nodes)).nodeFor({
				project: "default",
				function: name,
				number: 1,
				manifest: manifestSchema.parse(manifest),
			}),
		);
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

const VERSION = { project: "default", function: "f", number: 2, manifest: manifestSchema.parse({}) };
const THREE: Partial<NodeInfo>[] = ["a", "b", "c"].map((id) => ({ id, cores: 1 }));
const holding = (...warm: readonly string[]) => ({ memoryMiB: 1, heldMiB: 0, sandboxes: 1, running: 0, mostRunning: 8, warm });

test("a function is at home until more is in flight there than its part, and back there when that is over", async () => {
	const placement = new Placement(directoryOf(THREE));
	const home = placement.nodeFor(VERSION);
	const { promise, resolve } = Promise.withResolvers<void>();
	const placed: string[] = [];
	const run = () => {
		const node = placement.nodeFor(VERSION);
		placed.push(node);
		return placement.at(node, () => promise);
	};
	const runs = Array.from({ length: 12 }, run);
	expect(placed.slice(0, 2)).toEqual([home, home]);
	for (const { id } of THREE) expect(placed.filter((node) => node === id).length).toBeLessThanOrEqual(5);
	resolve();
	await Promise.all(runs);
	expect(placement.nodeFor(VERSION)).toBe(home);
});

test("what failed counts no longer as in flight", async () => {
	const placement = new Placement(directoryOf(THREE));
	const home = placement.nodeFor(VERSION);
	for (let at = 0; at < 12; at++) await expect(placement.at(home, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
	expect(placement.nodeFor(VERSION)).toBe(home);
});

test("a node that says it has this very version warm is preferred, and one whose others' load is beyond its part isn't", () => {
	const home = new Placement(directoryOf(THREE)).nodeFor(VERSION);
	const away = THREE.filter(({ id }) => id !== home);
	const [other] = away;
	const placed = (load: NonNullable<NodeInfo["load"]>) =>
		new Placement(directoryOf([...THREE.filter((each) => each !== other), { ...other, load }]), new NodeLoads()).nodeFor(VERSION);
	expect(placed(holding("default/f:2"))).toBe(other?.id);
	expect(placed(holding("default/f:1"))).toBe(home);
	expect(placed({ ...holding("default/f:2"), running: 50 })).toBe(home);
});

test("how many nodes may run it is what its concurrency is counted by", () => {
	const count = (selector: object) => new Placement(directoryOf(ZONES)).count(manifestSchema.parse({ nodeSelector: selector }));
	expect([count({}), count({ zone: "a" }), count({ zone: "c" })]).toEqual([2, 1, 1]);
});
