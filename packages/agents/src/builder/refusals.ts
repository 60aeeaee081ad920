import type { BuildRefusal, Diagnostic } from "@berth/contracts/agent";
import type { Built } from "./answer.js";
import { capped } from "./diagnostics.js";

/** What the platform takes of a message. */
const MESSAGE_CHARS = 4000;

export function failure(
	code: BuildRefusal["code"],
	phase: BuildRefusal["phase"],
	message: string,
	diagnostics: readonly Diagnostic[] = [],
): BuildRefusal {
	return { ok: false, code, phase, message: message.slice(0, MESSAGE_CHARS), diagnostics: capped(diagnostics) };
}

export function refused(answer: BuildRefusal): Built {
	return { answer, files: [] };
}
