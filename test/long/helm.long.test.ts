import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { CHART, chartDigest, renderedPath, VALUES } from "../harness/chart.js";
import { goProgram } from "../harness/go-modules.js";
import { kubernetesSchemas, type Resource } from "../harness/kubernetes-schemas.js";

const HELM = "v3.22.0";
/** The oldest and the newest that the chart is for. */
const CLUSTERS = ["1.28.0", "1.34.0"];

let helm: string;
let problemsOf: (resource: Resource) => readonly string[];
beforeAll(async () => {
	helm = await goProgram("helm", "helm.sh/helm/v3/cmd/helm", HELM);
	problemsOf = await kubernetesSchemas();
}, 900_000);

/** @throws Error with what Helm said */
async function run(...args: readonly string[]): Promise<string> {
	return (await promisify(execFile)(helm, args).catch((error: { stderr: string }) => Promise.reject(new Error(error.stderr)))).stdout;
}
const render = (values: readonly string[], cluster = CLUSTERS[0]) =>
	run("template", "berth", CHART, "--kube-version", cluster as string, ...values.flatMap((value) => ["--set", value]));
const resourcesOf = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as Resource);

test("Helm finds nothing wrong with the chart", async () => {
	expect(await run("lint", CHART, "--strict", "--set", "existingSecret=berth")).toContain("0 chart(s) failed");
});

describe.each(Object.entries(VALUES))("with the values %s", (name, values) => {
	test.each(CLUSTERS)("what Helm renders for Kubernetes %s is what its published schemas have, field by field", async (cluster) => {
		const resources = resourcesOf(await render(values, cluster));
		expect(resources.length).toBeGreaterThan(5);
		expect(resources.flatMap((resource) => problemsOf(resource).map((problem) => `${resource.kind} ${problem}`))).toEqual([]);
	});

	test("the rendering that the ordinary suite looks at is today's (TEST_RENDER=1 writes it)", async () => {
		const text = `# ${chartDigest()}\n${await render(values)}`;
		if (process.env["TEST_RENDER"] === "1") writeFileSync(renderedPath(name), text);
		expect(readFileSync(renderedPath(name), "utf8")).toBe(text);
	});
});

test("the schemas find a field that there is none of, and a value that it can't have", async () => {
	const [deployment] = resourcesOf(await render(["existingSecret=berth"])).filter(({ kind }) => kind === "Deployment");
	const wrong = structuredClone(deployment) as unknown as { spec: { replicas: unknown; template: { spec: Record<string, unknown> } } };
	wrong.spec.replicas = "two";
	wrong.spec.template.spec["enableServiceLink"] = false;
	const problems = problemsOf(wrong as unknown as Resource).join("\n");
	expect(problems).toContain("/spec/replicas must be integer");
	expect(problems).toContain("enableServiceLink");
});

test.each([
	["no Secret", ["gateway.replicas=2"], "existingSecret"],
	["a setting that is none", ["existingSecret=b", "settings.PATH=/bin"], "PATH"],
	["KEDA with a DaemonSet", ["existingSecret=b", "keda.enabled=true", "keda.prometheus=http://p:9090"], "/worker/kind"],
	["monitoring without a key", ["existingSecret=b", "monitoring.enabled=true"], "/monitoring/keySecret/name"],
	["a value that there is none of", ["existingSecret=b", "gateway.replica=2"], "replica"],
])("%s is refused", async (_what, values, said) => {
	await expect(render(values)).rejects.toThrow(said);
});
