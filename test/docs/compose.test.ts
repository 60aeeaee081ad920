import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { capabilitiesOfUnit } from "../harness/systemd-unit.js";
import { ROOT } from "./pages.js";

const INFRA = join(ROOT, "infra");
/** Debian's docker-compose (1.29) reads all of the file but this, which came later. */
const text = readFileSync(join(INFRA, "docker-compose.yml"), "utf8").replace(/^ +cgroup: host\n/m, "");
const VALUES = {
	BERTH_REDIS_PASSWORD: "secret",
	BERTH_PAYLOAD_STORE: "s3://key:secret@bucket/berth?region=eu-central-1",
	BERTH_SECRETS_KEY: "5".repeat(64),
	BERTH_ADMIN_KEY_SHA256: "a".repeat(64),
};

interface Service {
	readonly environment?: Readonly<Record<string, string>>;
	readonly cap_drop?: readonly string[];
	readonly cap_add?: readonly string[];
	readonly privileged?: boolean;
	readonly read_only?: boolean;
	readonly security_opt?: readonly string[];
	readonly volumes?: readonly string[];
}

/** The services, as Compose understands them. @throws Error with what it said */
async function services(
	values: Readonly<Record<string, string>>,
	...options: readonly string[]
): Promise<Readonly<Record<string, Service>>> {
	const directory = mkdtempSync(join(tmpdir(), "berth-compose-"));
	try {
		const file = join(directory, "docker-compose.yml");
		writeFileSync(file, text);
		const args = ["--project-directory", INFRA, "--file", file, ...options, "config"];
		const env = { PATH: process.env["PATH"], HOME: directory, ...values };
		const { stdout } = await promisify(execFile)("docker-compose", args, { env }).catch((error: { stderr: string }) =>
			Promise.reject(new Error(error.stderr)),
		);
		return (parse(stdout) as { services: Record<string, Service> }).services;
	} finally {
		rmSync(directory, { recursive: true });
	}
}

describe("infra/docker-compose.yml", () => {
	test("is what Compose reads, with its profile", async () => {
		const all = await services(VALUES, "--profile", "monitoring");
		expect(Object.keys(all).sort()).toEqual(["gateway", "grafana", "prometheus", "redis-durable", "redis-fast", "registry", "worker"]);
	});

	test.each(Object.keys(VALUES))("isn't started without %s", async (name) => {
		const { [name as keyof typeof VALUES]: _missing, ...others } = VALUES;
		await expect(services(others)).rejects.toThrow("Missing mandatory value");
	});

	test("gives a gateway no capability and no file to write, a worker those of the service's unit, and neither all", async () => {
		const { gateway, worker } = await services(VALUES);
		expect(gateway).toMatchObject({ cap_drop: ["ALL"], read_only: true, security_opt: ["no-new-privileges:true"] });
		expect(gateway?.cap_add).toBeUndefined();
		expect(worker?.cap_drop).toEqual(["ALL"]);
		expect(new Set(worker?.cap_add?.map((name) => name.toLowerCase()))).toEqual(new Set(capabilitiesOfUnit()));
		expect([gateway?.privileged, worker?.privileged]).toEqual([undefined, undefined]);
	});

	test("hands labels of its node on to the worker", async () => {
		const { worker } = await services({ ...VALUES, BERTH_NODE_LABELS: "zone=a" });
		expect(worker?.environment).toMatchObject({ BERTH_NODE_LABELS: "zone=a" });
	});

	test("names files that are there", async () => {
		const all = await services({ ...VALUES, BERTH_METRICS_KEY_FILE: "/etc/hostname" }, "--profile", "monitoring");
		const files = Object.values(all).flatMap(({ volumes = [] }) => volumes.flatMap((volume) => volume.split(":")[0] ?? []));
		const own = files.filter((path) => path.startsWith(INFRA));
		expect(own.length).toBeGreaterThan(5);
		for (const path of own) expect(() => readFileSync(path)).not.toThrow(/ENOENT/);
	});
});
