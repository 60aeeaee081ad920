import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { CHART, chartDigest, renderedPath, VALUES } from "../harness/chart.js";
import { ROOT } from "./pages.js";

interface Container {
	readonly securityContext: Readonly<Record<string, unknown>>;
	readonly envFrom: unknown;
	readonly env: readonly { readonly name: string; readonly value?: string }[];
}
interface Pod {
	readonly enableServiceLinks: boolean;
	readonly automountServiceAccountToken: boolean;
	readonly containers: readonly Container[];
	readonly volumes: readonly { readonly hostPath?: unknown }[];
	readonly securityContext?: Readonly<Record<string, unknown>>;
}
interface Resource {
	readonly kind: string;
	readonly metadata: { readonly name: string };
	readonly spec: {
		readonly template?: { readonly spec: Pod };
		readonly triggers?: readonly { readonly metadata: { readonly query: string } }[];
	};
}

const settings = readFileSync(join(ROOT, "docs/settings.md"), "utf8");

describe.each(Object.keys(VALUES))("the chart, as Helm rendered it with the values %s,", (name) => {
	const text = readFileSync(renderedPath(name), "utf8");
	const resources = parseAllDocuments(text).map((document) => document.toJS() as Resource);
	const podOf = (suffix: string) => {
		const pod = resources.find(({ metadata, spec }) => spec.template !== undefined && metadata.name === `berth-${suffix}`)?.spec.template
			?.spec;
		if (pod === undefined) throw new Error(`there are no pods of ${suffix}`);
		return pod;
	};

	test("is today's", () => {
		expect(text.startsWith(`# ${chartDigest()}\n`), "TEST_LONG=1 TEST_RENDER=1 npx vitest run test/long/helm.long.test.ts writes it").toBe(
			true,
		);
	});

	test("gives a gateway no privilege, no file of the node's, and no file of the image's to write", () => {
		const pod = podOf("gateway");
		expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
		expect(pod.containers.map(({ securityContext }) => securityContext)).toEqual([
			{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
		]);
		expect(pod.volumes.filter(({ hostPath }) => hostPath !== undefined)).toEqual([]);
	});

	test("has one kind of pods that are privileged, the workers'", () => {
		expect(text.match(/privileged: true/g)).toHaveLength(1);
		expect(podOf("worker").containers.map(({ securityContext }) => securityContext)).toEqual([{ privileged: true }]);
	});

	test.each(["gateway", "worker"])(
		"gives a %s settings that exist, none twice, secrets only from the Secret, and no variable or token of Kubernetes's",
		(role) => {
			const pod = podOf(role);
			expect([pod.enableServiceLinks, pod.automountServiceAccountToken]).toEqual([false, false]);
			const [container] = pod.containers;
			expect(container?.envFrom).toEqual([{ secretRef: { name: "berth" } }]);
			const names = (container?.env ?? []).map((each) => each.name);
			expect(new Set(names).size).toBe(names.length);
			const absent = names.filter((each) => each !== "NODE_NAME" && !settings.includes(`| \`${each}\` |`));
			expect(absent).toEqual([]);
			expect(names.filter((each) => /REDIS|KEY|STORE|REGISTRIES/.test(each))).toEqual([]);
		},
	);
});

test("KEDA asks for what is recorded", () => {
	const resources = parseAllDocuments(readFileSync(renderedPath("all"), "utf8")).map((document) => document.toJS() as Resource);
	const queries = resources.flatMap(({ spec }) => spec.triggers ?? []).map(({ metadata }) => metadata.query);
	expect(queries.length).toBe(1);
	const rules = readFileSync(join(ROOT, "infra/prometheus/berth.rules.yml"), "utf8");
	for (const name of queries.join(" ").match(/berth:[a-z0-9_:]+/g) ?? [""]) expect(rules).toContain(`- record: ${name}\n`);
});

test("the chart is of this version of Berth, and so are its images", () => {
	const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
	const values = readFileSync(join(CHART, "values.yaml"), "utf8");
	expect(parse(readFileSync(join(CHART, "Chart.yaml"), "utf8"))).toMatchObject({ version, appVersion: version });
	for (const role of ["gateway", "worker"]) expect(values).toContain(`image: berth-${role}:${version}`);
});

test("the settings that a Secret of the chart's is said to have exist", () => {
	const named = readFileSync(join(CHART, "values.yaml"), "utf8").match(/BERTH_[A-Z0-9_]+/g) ?? [];
	expect(named.length).toBeGreaterThan(8);
	expect(named.filter((each) => !settings.includes(`| \`${each}\` |`))).toEqual([]);
});
