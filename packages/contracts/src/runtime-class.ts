/** What a function's sandboxes may be run by in the place of the node's OCI runtime: gVisor, a kernel of their own in user space. */
export const RUNTIME_CLASSES = ["runsc"] as const;
export type RuntimeClass = (typeof RUNTIME_CLASSES)[number];

/** What a node has of a class: the version of what runs it, or why there is none. */
export type RuntimeClassReport = { readonly version: string } | { readonly missing: string };

/** Of each class, on one node. */
export type RuntimeClassReports = Readonly<Record<RuntimeClass, RuntimeClassReport>>;

/** Why a node can't run a function of this class, in a sentence; undefined when it can. */
export function runtimeClassLack(runtimeClass: RuntimeClass | undefined, reports: RuntimeClassReports): string | undefined {
	if (runtimeClass === undefined) return undefined;
	const report = reports[runtimeClass];
	return "missing" in report ? `This node can't run functions under ${runtimeClass}: ${report.missing}.` : undefined;
}

/** The classes that a node can run. */
export function classesOf(reports: RuntimeClassReports): readonly RuntimeClass[] {
	return RUNTIME_CLASSES.filter((each) => !("missing" in reports[each]));
}
