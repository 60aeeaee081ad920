/** A handler of a payload: it needs no web classes. */
export const PLAIN = "export default (payload: { name?: string }) => ({ hello: payload?.name ?? 'world' });\n";

/** An event handler in Python of less than 1 KB. */
export const PYTHON = {
	runtime: "python3",
	source: "def handler(event, context):\n    return {'hello': (event or {}).get('name', 'world')}\n",
};

/** A fetch handler of less than 1 KB. */
export const FETCH = `export default {
	async fetch(request: Request): Promise<Response> {
		const { name = "world" } = (await request.json()) as { name?: string };
		return Response.json({ hello: name });
	},
};
`;

/**
 * A fetch handler with code beside it that is loaded and never runs, as in most bundles: functions of various lengths
 * that the bundler has to keep.
 * @param {number} bytes how large the source is to be, about
 */
export function fetchHandlerOf(bytes) {
	const parts = [FETCH];
	let length = FETCH.length;
	for (let index = 0; length < bytes; index++) {
		const part = unusedFunction(index);
		parts.push(part);
		length += part.length;
	}
	return parts.join("");
}

function unusedFunction(index) {
	const branches = Array.from(
		{ length: (index % 7) + 1 },
		(_, at) =>
			`\tif (input.kind === "kind-${index}-${at}") return { value: input.value * ${at + 2} + ${index}, label: \`case ${at}: \${input.label}\` };`,
	);
	return `function transform${index}(input) {\n${branches.join("\n")}\n\tthrow new TypeError("transform ${index} has no such kind: " + input.kind);\n}\n(globalThis.transforms ??= []).push(transform${index});\n`;
}
