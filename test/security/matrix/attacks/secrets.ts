import { execFileSync } from "node:child_process";
import { globSync } from "node:fs";
import { expect } from "vitest";
import { eventually } from "../../../harness/eventually.js";
import { type DeployInput, deploy } from "../../../harness/functions.js";
import type { Attacker, Rows } from "../attack.js";
import { named } from "../named.js";
import { hashOf, markOf, secretValue } from "../secret-values.js";

const [OWN, OTHERS, SENT, REPLACED] = ["ATTACK_OWN", "ATTACK_OTHERS", "ATTACK_SENT", "ATTACK_REPLACED"] as const;
const manifest = { secrets: [OWN] };

const INJECTED = "packages/worker/src/egress/tls-inside.test.ts";
const CONNECTIONS = "packages/worker/src/egress/connection.test.ts";

export const secrets: Rows<"Secret"> = {
	"another function's secret": {
		heldBy: ["secrets by the manifest's names"],
		fixture: "finds-secrets.py",
		manifest,
		isContained: async (attacker) => {
			await useOthers(attacker);
			// It looks where there is something to be found.
			expect(await attacker.report()).toEqual([hashOf(OWN)]);
			const without = await deploy(attacker.stack, { source: "export default () => JSON.stringify(process.env);", ...classOf(attacker) });
			expect(await without.result()).not.toContain("berth-secret");
		},
	},
	"a secret of its own that was replaced": {
		heldBy: ["sandboxes by their secrets"],
		fixture: "finds-secrets.py",
		manifest: { secrets: [REPLACED] },
		isContained: async ({ stack, report }) => {
			expect(await report()).toEqual([hashOf(REPLACED)]);
			await stack.client.setSecret(REPLACED, { value: secretValue("its next value") });
			await eventually(async () => expect(await report()).toEqual([hashOf("its next value")]));
		},
	},
	"a secret that goes to a host": {
		heldBy: ["secrets for hosts stay outside"],
		fixture: "finds-secrets.py",
		manifest: {
			network: { allow: ["service.example"] },
			secrets: [OWN, { name: SENT, host: "service.example", header: "authorization" }],
		},
		except: { runsc: "no network beside a class" },
		isContained: async ({ report }) => expect(await report()).toEqual([hashOf(OWN)]),
	},
	"printing a secret of its own": {
		heldBy: ["what is printed is looked through"],
		fixture: "prints-secret.py",
		manifest,
		isContained: async ({ attack }) => {
			const { answer, record } = await attack({ name: OWN, throws: true });
			const shown = `[secret:${OWN}]`;
			const lines = record.logs?.map(({ text }) => text) ?? [];
			const said = new Map(lines.map((line) => [line.split(" ")[0], line]));
			expect(["as", "url", "json", "pieces"].map((form) => said.get(form))).toEqual([
				`as it is ${shown}`,
				`url ${shown}`,
				`json {"key": "${shown}"}`,
				`pieces ${shown}`,
			]);
			expect(said.get("base64")).toContain(shown);
			expect(answer.problem?.detail).toContain(`not with ${shown}`);
			expect(JSON.stringify([record, answer.problem])).not.toContain(markOf(OWN));
			// It is a net for accidents: who wants to can write it as nobody looks for it.
			expect(said.get("hex")).toBe(`hex ${Buffer.from(secretValue(OWN)).toString("hex")}`);
			expect(said.get("backwards")).toBe(`backwards ${[...secretValue(OWN)].reverse().join("")}`);
		},
	},
	"a secret on disk": {
		heldBy: ["secrets are sealed"],
		fixture: "finds-secrets.py",
		manifest,
		isContained: async (attacker) => {
			await useOthers(attacker);
			expect(await attacker.report()).toContain(hashOf(OWN));
			const engines = globSync("/var/lib/berth-dockerd-*/data/{containers,image}");
			for (const name of [OWN, OTHERS]) {
				const forms = [markOf(name), Buffer.from(markOf(name)).toString("base64").slice(0, -4)];
				expect(filesWith(forms, [attacker.stack.dataDir, ...engines])).toEqual([]);
			}
		},
	},
	"what a build sees of secrets": named(
		"builds by the node's own engine",
		["build's own environment"],
		["test/security/dependencies.test.ts", "that prints its environment has no secret in it, nor has the build's log"],
	),
	"having an injected secret said again": named(
		"the way out is the worker's",
		["no TRACE with a secret", "one host to a connection"],
		[INJECTED, "what would have the request said again isn't sent, nor one for another host"],
	),
	"another host on its connection": named(
		"the way out is the worker's",
		["one host to a connection"],
		[CONNECTIONS, "a request with a second line for its host doesn't get through; the line of one that does is ours"],
		[INJECTED, "what would have the request said again isn't sent, nor one for another host"],
	),
	"a request behind the one with the secret": named(
		"the way out is the worker's",
		["one host to a connection"],
		[CONNECTIONS, "a request that is hidden behind another, a tunnel, and one for another place get nothing of a secret, nor out"],
	),
	"standing for its host": named(
		"the way out is the worker's",
		["the host's certificate"],
		[INJECTED, "a host that shows no certificate that is trusted here is sent nothing, and the function is told why"],
	),
	"being led to another host": named(
		"the way out is the worker's",
		["injection by host"],
		["test/functional/injection.ts", "nothing of a secret goes to its host without TLS, nor to another one that the host leads to"],
	),
};

const classOf = ({ column }: Attacker) => (column === "runsc" ? { runtimeClass: "runsc" as const } : {});

/** A neighbour has a secret, and has had it in its hands. */
async function useOthers(attacker: Attacker): Promise<void> {
	await attacker.secret(OTHERS);
	const input: DeployInput = { secrets: [OTHERS], source: `export default () => process.env.${OTHERS}.length;`, ...classOf(attacker) };
	expect(await (await deploy(attacker.stack, input)).result()).toBe(secretValue(OTHERS).length);
}

/** Files below some places that have one of these in them. */
function filesWith(texts: readonly string[], places: readonly string[]): readonly string[] {
	const patterns = texts.flatMap((text) => ["-e", text]);
	try {
		return execFileSync("grep", ["-rlaFs", "-D", "skip", ...patterns, ...places], { encoding: "utf8" })
			.trim()
			.split("\n");
	} catch (error) {
		// 1: none; 2: some file was gone, or is a sandbox's own.
		const { status, stdout } = error as { readonly status: number; readonly stdout: string };
		if (status !== 1 && status !== 2) throw error;
		return stdout.split("\n").filter((line) => line !== "");
	}
}
