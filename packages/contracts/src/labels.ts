import * as z from "zod";

/** Labels of a node, and those that a selector may ask for, at most. */
export const MOST_LABELS = 16;

const NAME = "1 to 63 lower-case letters, digits, `.`, `_`, `-` or `/`, a letter or digit first and last";
const VALUE = "1 to 63 letters, digits, `.`, `_` or `-`, a letter or digit first and last";
const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?$/;
const VALUE_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

/** What a node is said to be by who runs it, as in `{zone: "a", gpu: "true"}`. */
export type Labels = Readonly<Record<string, string>>;

/** The labels that a node has to have for a function. */
export const nodeSelector = z
	.record(
		z.string().regex(NAME_PATTERN, `a label's name has ${NAME}`),
		z.string("a label's value is text, in quotes").regex(VALUE_PATTERN, `a label's value has ${VALUE}`),
		'labels that its nodes have, as in {"zone": "a"}',
	)
	.refine((labels) => Object.keys(labels).length <= MOST_LABELS, { message: `at most ${MOST_LABELS} labels` });

/** `zone=a,gpu=true` as labels; what is wrong with it, as text, where it isn't. */
export function parseLabels(text: string): Labels | string {
	const parts = text.split(",").map((part) => part.trim());
	const labels: Record<string, string> = {};
	for (const part of parts) {
		const [name = "", value, ...rest] = part.split("=");
		if (value === undefined || rest.length > 0 || !NAME_PATTERN.test(name))
			return `${JSON.stringify(part)} is no label: name=value, the name ${NAME}`;
		if (!VALUE_PATTERN.test(value)) return `${JSON.stringify(part)} is no label: its value has ${VALUE}`;
		if (Object.hasOwn(labels, name)) return `${name} is there twice`;
		labels[name] = value;
	}
	return parts.length <= MOST_LABELS ? labels : `${parts.length} labels, and at most ${MOST_LABELS} may be there`;
}

/** As `parseLabels` reads them. */
export function labelsText(labels: Labels): string {
	return Object.entries(labels)
		.map((pair) => pair.join("="))
		.join(",");
}

/** Whether a node has all labels that a function asks for. */
export function satisfies(labels: Labels | undefined, selector: Labels | undefined): boolean {
	return Object.entries(selector ?? {}).every(
		([name, value]) => labels !== undefined && Object.hasOwn(labels, name) && labels[name] === value,
	);
}
