import { type Labels, labelsText, type Manifest, type RuntimeClassReports, runtimeClassLack, satisfies } from "@berth/contracts";

/** What nodes differ in, as this one has it. */
export interface NodeMeans {
	readonly runtimeClasses: RuntimeClassReports;
	readonly labels: Labels;
}

/** What a version is run with that this node doesn't have, and another one may; undefined: nothing. */
export function nodeLack({ runtimeClass, nodeSelector }: Manifest, { runtimeClasses, labels }: NodeMeans): string | undefined {
	if (runtimeClassLack(runtimeClass, runtimeClasses) !== undefined) return `the runtime class ${runtimeClass}`;
	return satisfies(labels, nodeSelector) ? undefined : `a node with the labels ${labelsText(nodeSelector ?? {})}`;
}
