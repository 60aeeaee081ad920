import { expect, test } from "vitest";
import { environmentOf } from "./environment.js";
import { loadSettings } from "./settings.js";

const SHARED = {
	BERTH_DURABLE_REDIS_URL: "redis://10.0.0.1",
	BERTH_FAST_REDIS_URL: "redis://10.0.0.2",
	BERTH_PAYLOAD_STORE: "s3://key:secret@payloads",
	BERTH_REGISTRIES: "https://registry.example.com",
	BERTH_IMAGE_REPOSITORY: "registry.example.com/berth",
};

test("a machine is all of a stack unless it is told otherwise", () => {
	expect(loadSettings({})).toMatchObject({ roles: ["gateway", "worker"], hasPeers: false });
});

test("one role alone is refused without what machines share, each by the setting to give", () => {
	expect(() => loadSettings({ BERTH_ROLES: "worker" })).toThrow(
		/^BERTH_ROLES=worker needs BERTH_DURABLE_REDIS_URL: .*\n.*BERTH_FAST_REDIS_URL: .*\n.*BERTH_PAYLOAD_STORE: .*\n.*BERTH_IMAGE_REPOSITORY: .*$/,
	);
	expect(() => loadSettings({ ...SHARED, BERTH_ROLES: "gateway" })).toThrow(/^BERTH_ROLES=gateway needs BERTH_INTERNAL_HOST: /);
	expect(loadSettings({ ...SHARED, BERTH_ROLES: "worker", BERTH_INTERNAL_HOST: "10.0.0.3" })).toMatchObject({
		roles: ["worker"],
		hasPeers: true,
	});
});

test("a machine that is both and has others beside it shares as much", () => {
	expect(() => loadSettings({ BERTH_INTERNAL_HOST: "10.0.0.3" })).toThrow(
		/^BERTH_INTERNAL_HOST \(other machines beside this one\) needs BERTH_DURABLE/,
	);
	const settings = loadSettings({ ...SHARED, BERTH_INTERNAL_HOST: "10.0.0.3" });
	expect(settings).toMatchObject({ hasPeers: true, internal: { host: "10.0.0.3", port: 8081 } });
	expect(loadSettings(environmentOf(settings))).toMatchObject({ hasPeers: true, internal: settings.internal });
});

test("a node's labels are passed on to its processes, and wrong ones are refused by name", () => {
	const settings = loadSettings({ BERTH_NODE_LABELS: "zone=a, gpu=true" });
	expect(settings.labels).toEqual({ zone: "a", gpu: "true" });
	expect(loadSettings(environmentOf(settings)).labels).toEqual(settings.labels);
	expect(loadSettings({}).labels).toEqual({});
	expect(() => loadSettings({ BERTH_NODE_LABELS: "zone" })).toThrow(/BERTH_NODE_LABELS is "zone": "zone" is no label: name=value/);
});

test.each(["", " ", "gateways", "worker,worker", "gateway,"])("roles %j are refused, or the default", (roles) => {
	if (roles === "") expect(loadSettings({ BERTH_ROLES: roles }).roles).toHaveLength(2);
	else expect(() => loadSettings({ BERTH_ROLES: roles })).toThrow(/BERTH_ROLES is .*: gateway, worker, or both/);
});
