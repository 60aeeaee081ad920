import type { FunctionError } from "@berth/contracts/agent";

const MESSAGE_CHARS = 8192;
const STACK_CHARS = 16_384;

/** Whatever was thrown, as something that can be sent. Never throws itself, whatever its getters do. */
export function describeError(thrown: unknown): FunctionError {
	try {
		if (thrown instanceof Error) {
			const cause = thrown.cause === undefined ? "" : `\nCaused by: ${describeError(thrown.cause).stack ?? String(thrown.cause)}`;
			const stack = typeof thrown.stack === "string" ? { stack: (thrown.stack + cause).slice(0, STACK_CHARS) } : {};
			return { name: String(thrown.name), message: String(thrown.message).slice(0, MESSAGE_CHARS), ...stack };
		}
		const text = typeof thrown === "string" ? thrown : (JSON.stringify(thrown) ?? String(thrown));
		if (thrown === null || thrown === undefined) return { name: "Error", message: `${text} was thrown` };
		const article = typeof thrown === "object" ? "an" : "a";
		return { name: "Error", message: `${article} ${typeof thrown} was thrown: ${text}`.slice(0, MESSAGE_CHARS) };
	} catch {
		return { name: "Error", message: "something was thrown that can't be described" };
	}
}
