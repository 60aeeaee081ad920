import { isBuiltin } from "node:module";
import { manifestOf, packageNames, readSources } from "./sources.mjs";

/** Which packages of ours each one may import: the layers of docs/ARCHITECTURE.md, which a test holds against this. */
export const MAY_IMPORT = {
	contracts: [],
	config: ["contracts"],
	telemetry: ["contracts"],
	redis: ["contracts"],
	distribution: ["contracts"],
	bucket: ["contracts"],
	registry: ["contracts", "config", "telemetry", "redis", "bucket"],
	queue: ["contracts", "config", "telemetry", "redis"],
	builder: ["contracts", "config", "telemetry", "registry"],
	sandbox: ["contracts", "config", "telemetry"],
	agents: ["contracts"],
	gateway: ["contracts", "config", "telemetry", "registry", "queue"],
	worker: ["contracts", "config", "telemetry", "registry", "queue", "builder", "sandbox", "agents", "distribution"],
	launcher: ["contracts", "config", "telemetry", "sandbox"],
	client: ["contracts"],
	loadtest: ["contracts", "client"],
	cli: ["contracts", "config", "client", "distribution", "bucket", "loadtest"],
};

/** Where alone each third-party engine may be imported. */
const HOMES = {
	bullmq: ["packages/queue/src/bullmq/"],
	ioredis: ["packages/redis/src/"],
	express: ["packages/gateway/src/"],
	esbuild: ["packages/agents/src/builder/"],
	"@npmcli/arborist": ["packages/agents/src/builder/"],
	aws4fetch: ["packages/bucket/src/"],
	koffi: ["packages/launcher/src/", "packages/worker/src/egress/"],
	"@peculiar/asn1-schema": ["packages/worker/src/egress/"],
	"@peculiar/asn1-x509": ["packages/worker/src/egress/"],
	pino: ["packages/telemetry/src/"],
	"prom-client": ["packages/telemetry/src/"],
	commander: ["packages/cli/src/"],
	undici: ["packages/bucket/src/", "packages/client/src/", "packages/distribution/src/", "packages/loadtest/src/"],
};

/** What tests may import beside what their package declares. */
const FOR_TESTS = new Set(["vitest", "fast-check", "@berth/redis", "@berth/bucket"]);

/** Imports against the layers, the engines' homes and what each package declares. @returns {string[]} what is wrong */
export function checkDirection() {
	const unknown = packageNames().filter((name) => MAY_IMPORT[name] === undefined);
	const problems = unknown.map((name) => `packages/${name}: has no place in the layers (scripts/verify/direction.mjs)`);
	const declared = new Map(packageNames().map((name) => [name, declaredBy(manifestOf(name))]));
	for (const source of readSources()) {
		for (const specifier of source.specifiers) {
			const problem = problemOf(source, specifier, declared.get(source.package));
			if (problem !== undefined) problems.push(`${source.path}: ${problem}`);
		}
	}
	return problems;
}

function problemOf(source, specifier, declared) {
	if (specifier.startsWith(".")) return leavesPackage(source, specifier) ? `${specifier} leaves the package` : undefined;
	if (isBuiltin(specifier)) return specifier.startsWith("node:") ? undefined : `${specifier} is written node:${specifier}`;
	const name = packageOf(specifier);
	if (source.isTest && FOR_TESTS.has(name)) return undefined;
	if (name.startsWith("@berth/")) {
		const target = name.slice("@berth/".length);
		if (!(MAY_IMPORT[source.package] ?? []).includes(target)) return `${source.package} may not import ${target}`;
	}
	const homes = HOMES[name];
	if (homes !== undefined && !homes.some((home) => source.path.startsWith(home))) return `${name} has its home in ${homes.join(" and ")}`;
	if (!declared.has(name)) return `${name} isn't declared in packages/${source.package}/package.json`;
	return undefined;
}

/** Whether a relative import climbs out of its package's src. */
function leavesPackage(source, specifier) {
	const depth = source.path.split("/").length - 4;
	const climbs = specifier.split("/").filter((part) => part === "..").length;
	return climbs > depth;
}

function packageOf(specifier) {
	return specifier
		.split("/")
		.slice(0, specifier.startsWith("@") ? 2 : 1)
		.join("/");
}

function declaredBy(manifest) {
	return new Set(
		[manifest.dependencies, manifest.devDependencies, manifest.optionalDependencies].flatMap((section) => Object.keys(section ?? {})),
	);
}
