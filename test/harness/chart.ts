import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const CHART = fileURLToPath(new URL("../../infra/helm/berth", import.meta.url));

/** What the chart is rendered with, each as `--set` has it. */
export const VALUES: Readonly<Record<string, readonly string[]>> = {
	least: ["existingSecret=berth"],
	all: [
		"existingSecret=berth",
		"settings.BERTH_LOG_LEVEL=warn",
		"gateway.settings.BERTH_MAX_INFLIGHT=2048",
		"worker.settings.BERTH_PREWARMED=8",
		"worker.kind=StatefulSet",
		"imagePullSecrets[0].name=pull",
		"gateway.service.type=LoadBalancer",
		"monitoring.enabled=true",
		"monitoring.keySecret.name=berth-metrics",
		"monitoring.labels.release=prometheus",
		"networkPolicy.from[0].namespaceSelector.matchLabels.name=ingress",
		"keda.enabled=true",
		"keda.prometheus=http://prometheus.monitoring:9090",
	],
};

/** Where a rendering by the real Helm is kept. */
export const renderedPath = (name: string) => fileURLToPath(new URL(`../fixtures/helm/${name}.yaml`, import.meta.url));

/** Of all files of the chart, and what it is rendered with. */
export function chartDigest(): string {
	const files = readdirSync(CHART, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
	const hash = createHash("sha256").update(JSON.stringify(VALUES));
	for (const path of files.map((entry) => join(entry.parentPath, entry.name)).sort())
		hash.update(path.slice(CHART.length)).update(readFileSync(path));
	return hash.digest("hex");
}
