import type { Weakenings } from "../weakening.js";

const FUNCTION_SECRETS = "packages/worker/src/function-secrets.ts";
const HTTP = "packages/worker/src/egress/plain-http.ts";

/** What holds secrets. */
export const secrets = {
	"secrets by the manifest's names": {
		takes: "that a function gets what its manifest names: it gets all of its project's",
		edits: [
			["packages/registry/src/secrets.ts", '"reading secrets", () =>', '"reading secrets", async () =>'],
			[
				"packages/registry/src/secrets.ts",
				"this.#redis.hmget(keys.secrets(project), ...names));",
				"this.#redis.hmget(keys.secrets(project), ...(names = [...new Set([...names, ...(await this.#redis.hkeys(keys.secrets(project)))])])));",
			],
			[
				FUNCTION_SECRETS,
				"secretVariables(manifest).map((name)",
				"[...secretVariables(manifest), ...Object.keys(values).filter((name) => !secretNames(manifest).includes(name))].map((name)",
			],
		],
	},
	"sandboxes by their secrets": {
		takes: "the look at what a sandbox was given: one with a value from before serves on",
		neverEnds: true,
		edits: [
			[
				"packages/sandbox/src/version-target.ts",
				"return one?.secrets?.revision === other.secrets?.revision;",
				"return (one?.secrets === undefined) === (other.secrets === undefined);",
			],
		],
	},
	"secrets for hosts stay outside": {
		takes: "that what goes to a host stays with the worker: it is a variable, too",
		edits: [
			[FUNCTION_SECRETS, "secretVariables(manifest).map((name)", "[...secretVariables(manifest), ...secretNames(manifest)].map((name)"],
		],
	},
	"what is printed is looked through": {
		takes: "the look through what is printed and thrown",
		edits: [
			["packages/sandbox/src/sandbox.ts", "logs.redactor = Redactor.of(target.secrets?.values);", "logs.redactor = Redactor.of({});"],
		],
	},
	"secrets are sealed": {
		takes: "the seal: values are stored beside it",
		edits: [
			[
				"packages/registry/src/secrets.ts",
				'revision: randomBytes(8).toString("hex"),',
				'revision: randomBytes(8).toString("hex"), ...{ clear: value },',
			],
		],
	},
	"build's own environment": { reason: "A build is sent no secret by anybody: there is nothing to take away." },
	"no TRACE with a secret": {
		takes: "the refusal of TRACE",
		edits: [[HTTP, 'if (request.method === "TRACE" && ', 'if (request.method === "TRACK" && ']],
	},
	"one host to a connection": {
		takes: "the look at which host a request is for",
		edits: [
			[
				HTTP,
				'return lines.length === 1 && meant.includes(headers.host?.toLowerCase() ?? "") && url.startsWith("/");',
				'return lines.length >= 0 && [...meant, headers.host].includes(headers.host) && url !== "";',
			],
		],
	},
	"the host's certificate": {
		takes: "the verification of the host's certificate",
		edits: [
			[
				"packages/worker/src/egress/tls-inside.ts",
				"connect({ socket, servername: host,",
				"connect({ socket, rejectUnauthorized: false, servername: host,",
			],
		],
	},
	"injection by host": { reason: "It is tried with hosts outside of this machine's own network, by suites that the copy doesn't run." },
} as const satisfies Weakenings;
